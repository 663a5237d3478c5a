//! Checks of freed blocks, in builds with `debug_assertions` only. `docs/misuse.md` lists what each variant does about
//! misuse.

use super::Heap;
use crate::base::ClassIdx;
use crate::report::Statics;
use crate::report::slab::{Slab, State};
use crate::sys::fatal::fatal;

/// A block of ours that is being freed must be a whole block, of the layout's class, and in use.
#[inline(always)]
pub(super) fn freed<V: Statics>(heap: &Heap, slab: &'static Slab, class: ClassIdx, address: usize) {
    if cfg!(debug_assertions) {
        freed_cold::<V>(heap, slab, class, address);
    }
}

#[cold]
#[inline(never)]
fn freed_cold<V: Statics>(heap: &Heap, slab: &'static Slab, class: ClassIdx, address: usize) {
    if slab.state() != State::Active {
        fatal("free of a block that is not in use:", address);
    }
    if slab.class() != class {
        fatal("free with a layout of another size class:", address);
    }
    if !slab.has_block_at::<V>(address) {
        fatal("free of an address inside a block:", address);
    }
    // Only the owner may look at a slab's own fields, and at its thread's list.
    if slab.remote.owner() == heap.id
        && (slab.used() == 0 || heap.list(class).has(address, V::LIST_LIMIT + 1))
    {
        fatal("double free:", address);
    }
}
