//! Stage 2: claim an UNUSED slot, oldest SuperSlab first, whichever class it was mapped for.

use super::{Pool, Seeker, activate};
use crate::base::slices_in;
use crate::report::Statics;
use crate::report::registry;
use crate::report::slab::{Slab, State};
use crate::stats::Event;

impl Pool {
    pub(super) fn claim_unused<V: Statics>(&self, seeker: &Seeker<'_>) -> Option<&'static Slab> {
        for superslab in registry::all::<V>() {
            for slot in slices_in(superslab.unused.peek()) {
                if superslab.unused.claim(slot.bit()) {
                    let slab = superslab.slab::<V>(slot);
                    return Some(activate(slab, State::Unused, seeker, Event::AcquireUnused));
                }
            }
        }
        None
    }
}
