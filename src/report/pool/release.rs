//! The way back into the pool, for a slab whose blocks are all home.

use super::Pool;
use crate::report::Statics;
use crate::report::list::NO_OWNER;
use crate::report::slab::{Slab, State};
use crate::sys::fatal::fatal;
use core::ptr;

impl Pool {
    /// Retires a slab that a drain has emptied: EMPTY → freelist, the report's option A.
    ///
    /// For its owner, which forgets it.
    pub(crate) fn retire<V: Statics>(&self, slab: &'static Slab) {
        become_empty::<V>(slab);
        self.push_empty::<V>(slab);
    }

    /// Leaves an empty slab for stage 0.5 to find, when its owner ends.
    pub(crate) fn leave_empty<V: Statics>(&self, slab: &'static Slab) {
        become_empty::<V>(slab);
        slab.superslab::<V>().empty.offer(slab.slot::<V>().bit());
    }

    /// Leaves a slab in part-use for stage 0.5 to find, when its owner ends; false, and nothing
    /// changed, when blocks are waiting in its remote list.
    pub(crate) fn leave_orphan<V: Statics>(&self, slab: &'static Slab, owner: u32) -> bool {
        let left = slab.remote.abandon(owner);
        if left {
            slab.superslab::<V>().orphans.offer(slab.slot::<V>().bit());
        }
        left
    }
}

/// ACTIVE → EMPTY, without an owner. The guard that the report asks for stands here: a slab with
/// blocks in use, or one that is EMPTY already, is never released. It asks for `used > 0` before;
/// a block that came home twice passes that, so the blocks themselves are counted.
fn become_empty<V: Statics>(slab: &'static Slab) {
    if !slab.is_all_home::<V>() || !slab.enter(State::Active, State::Empty) {
        fatal(
            "double free: a slab is EMPTY with a block in use, metadata at",
            ptr::from_ref(slab).addr(),
        );
    }
    slab.remote.assign(NO_OWNER);
}
