//! Stage 3: map a SuperSlab, unless the class has as many as its soft cap allows.

use super::{Pool, Seeker, activate};
use crate::base::{ClassIdx, SliceIdx};
use crate::report::Statics;
use crate::report::registry;
use crate::report::slab::{Slab, State, SuperSlab};
use crate::stats::Event;
use crate::sys::atomic::Ordering;
use crate::sys::pages;

impl Pool {
    pub(super) fn grow<V: Statics>(
        &self,
        class: ClassIdx,
        seeker: &Seeker<'_>,
    ) -> Option<&'static Slab> {
        let mapped = &self.mapped[class.index()];
        let one_more = |count: u32| match V::SOFT_CAP {
            Some(cap) if count >= cap => None,
            _ => Some(count + 1),
        };
        // ORDERING: relaxed, here and below; a count, which publishes nothing.
        mapped.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        let superslab = self.map_superslab::<V>();
        let Some(superslab) = superslab else {
            mapped.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        // Slot 0 was never on offer: the SuperSlab's creator keeps it.
        let slab = superslab.slab::<V>(SliceIdx::FIRST);
        Some(activate(slab, State::Unused, seeker, Event::AcquireGrow))
    }

    /// Maps a SuperSlab for no class, with every slot on offer; false when there is no room. The soft
    /// caps do not count it.
    pub(crate) fn map_spare<V: Statics>(&self) -> bool {
        let mapped = self.map_superslab::<V>();
        if let Some(superslab) = mapped {
            superslab.unused.offer(SliceIdx::FIRST.bit());
        }
        mapped.is_some()
    }

    /// Maps and registers a SuperSlab; `None` when the kernel or the registry has no room.
    fn map_superslab<V: Statics>(&self) -> Option<&'static SuperSlab> {
        if registry::is_full::<V>() {
            return None;
        }
        let pages = pages::map_aligned(V::SUPERSLAB_BYTES, V::SUPERSLAB_BYTES)?;
        // SAFETY: fresh zeroed pages of that size and alignment, which no other thread knows of. They
        // are unmapped only below, if the registry did not take them.
        let superslab = unsafe { SuperSlab::create::<V>(pages) };
        if registry::insert::<V>(superslab) {
            return Some(superslab);
        }
        // SAFETY: mapped above; `superslab`, the only reference to it, is not used again.
        unsafe { pages::unmap(pages, V::SUPERSLAB_BYTES) };
        None
    }
}
