//! Stage 1: the lock-free freelist of EMPTY slabs. Stays empty unless the variant recycles.

use super::{Pool, Seeker, activate};
use crate::report::Statics;
use crate::report::slab::{Slab, State};
use crate::stats::Event;
use crate::sys::atomic::Ordering;

impl Pool {
    pub(super) fn pop_empty<V: Statics>(&self, seeker: &Seeker<'_>) -> Option<&'static Slab> {
        let id = self.freelist.pop(|id| {
            // ORDERING: relaxed; the stack's tag rejects a link that is not current (T2).
            self.with_id::<V>(id).map_or(0, |slab| slab.empty_link().load(Ordering::Relaxed))
        })?;
        let slab = self.with_id::<V>(id)?;
        Some(activate(slab, State::Empty, seeker, Event::AcquireFreelist))
    }

    pub(super) fn push_empty<V: Statics>(&self, slab: &'static Slab) {
        self.freelist.push(slab.id::<V>(), |next| {
            // ORDERING: relaxed; the push that follows is a release.
            slab.empty_link().store(next, Ordering::Relaxed);
        });
    }

    /// The slab of a number that [`Slab::id`] gave.
    fn with_id<V: Statics>(&self, id: u32) -> Option<&'static Slab> {
        let (index, slot) = Slab::place_of_id::<V>(id);
        Some(V::directory().get(index)?.slab::<V>(slot))
    }
}
