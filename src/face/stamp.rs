//! The stamp: macros that define one type per variant, with its statics, its thread slot and its `GlobalAlloc`.
//!
//! A `static` in a generic function would be one static for all variants, and `thread_local!` cannot be generic. So
//! macros stamp these. All other code is generic over the type.

use super::observe::Observe;
use super::unload::prepare_at_start;
use super::watched;
use crate::backend::{Backend, Choice, Choose, Of};
use crate::base::{ClassIdx, MAX_CLASSES};
use crate::central::{Arena, EmptyBlocks, Fenced, HugeBlocks, PageHeap, Parked, Shared, Transfer};
use crate::page_map::PageMap;
use crate::report::heap::{GiveUpHeap, Heap, Heaps};
use crate::report::pool::Pool;
use crate::report::registry::{HashTable, SuperSlabs};
use crate::report::{self, stamp_report};
use crate::stats::Counters;
use crate::sys::thread::ExitHook;
use crate::sys::tls::{thread_place, thread_slot};
use crate::sys::watcher;
use crate::thread_cache::lifecycle::{CachePool, CloseCache};
use crate::thread_cache::{Cached, ThreadCache};
use crate::variant::{
    self, Chosen, Knobs, Slot, Variant, statics, values, with_face, with_variants,
};
use core::alloc::{GlobalAlloc, Layout};

/// Stamps each variant, and exports the selected one as `Hakmem`.
macro_rules! stamp {
    (selected $selected:ident; $($type:ident $knobs:ident $id:literal $parent:expr, $doc:literal;)*) => {
        $(stamp_type! {
            thread_slot, stamp_cache, $type, $id, $parent, $doc,
            false,
            values::$knobs
        })*

        pub use $selected as Hakmem;

        /// In debug builds, ends the process if another variant owns the freed block.
        fn freed_through<V: Variant>(block: *mut u8) {
            $(
                if V::ID != <$type as Variant>::ID && <$type as Observe>::owns(block)
                {
                    let id = <$type as Variant>::ID;
                    crate::sys::fatal::fatal_in(
                        ["a block of variant ", id, " was freed through another variant:"],
                        block.addr(),
                    );
                }
            )*
        }
    };
}

/// Stamps the C face, if the build has one: the selected variant once more, freed by address. A shared library reads
/// its thread slots without a call.
macro_rules! stamp_face {
    () => {
        /// True if the build has the C face.
        pub(super) const HAS_FACE: bool = false;
    };
    ($type:ident $knobs:ident $id:literal $parent:expr, $doc:literal;) => {
        /// True if the build has the C face.
        pub(super) const HAS_FACE: bool = true;
        use crate::sys::tls::exec_slot;
        use crate::thread_cache::tables::AddressTables;
        stamp_type! {
            exec_slot, stamp_tables, $type, $id, $parent, $doc,
            true,
            variant::by_address(values::$knobs)
        }
    };
}

macro_rules! stamp_type {
    (
        $slot:ident, $lists:ident, $type:ident, $id:literal, $parent:expr, $doc:literal,
        $by_address:literal,
        $knobs:expr
    ) => {
        paste::paste! {
            #[doc = $doc]
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $type;

            const _: () = variant::check::<$type>();

            impl Chosen for $type {
                const KNOBS: Knobs = $knobs;
            }

            impl Variant for $type {
                const ID: &'static str = $id;
                const PARENT: Option<&'static str> = $parent;
                type Backend = <Choice<{ <$type as Chosen>::BACKEND as u8 }> as Choose<$type>>::Backend;
                const BY_ADDRESS: bool = $by_address;
            }

            // Runs before the program's own initialisers. So the exit handlers that those register run before the
            // variant is released.
            #[used]
            #[unsafe(link_section = ".init_array.00098")]
            static [<$type:snake:upper _AT_START>]: extern "C" fn() = prepare_at_start::<$type>;

            impl Shared for $type {
                statics! {
                    parked: Parked = Parked::new();
                    page_heap: PageHeap = PageHeap::new();
                    page_map: PageMap = PageMap::new();
                    huge_blocks: HugeBlocks = HugeBlocks::new();
                    fenced: Fenced = Fenced::new();
                    empty_blocks: EmptyBlocks = EmptyBlocks::new();
                    counters: Counters = Counters::new();
                }
                #[inline(always)]
                fn arenas() -> &'static [Arena] {
                    static ARENAS: [Arena; $type::ARENAS] = [const { Arena::new() }; $type::ARENAS];
                    &ARENAS
                }
                fn transfer(class: ClassIdx) -> &'static Transfer {
                    static TRANSFER: [Transfer; MAX_CLASSES] = [const { Transfer::new() }; MAX_CLASSES];
                    &TRANSFER[class.index()]
                }
            }

            $lists!($slot, $type);
            stamp_report!($slot, $type);

            // SAFETY: the backends keep the trait's promises. A block fits its layout, and stays the caller's until it
            // is freed. Nothing unwinds: no path of a release build panics, and every callback is part of this crate.
            unsafe impl GlobalAlloc for $type {
                #[inline]
                unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                    if watcher::is_on() {
                        // SAFETY: a tool watches.
                        return unsafe { watched::alloc::<Self>(layout, false) };
                    }
                    // SAFETY: the caller's condition.
                    unsafe { Of::<Self>::alloc(layout) }
                }
                #[inline]
                unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                    if watcher::is_on() {
                        // SAFETY: a tool watches.
                        return unsafe { watched::alloc::<Self>(layout, true) };
                    }
                    // SAFETY: the caller's condition.
                    unsafe { Of::<Self>::alloc_zeroed(layout) }
                }
                #[inline]
                unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
                    if cfg!(debug_assertions) {
                        freed_through::<Self>(block);
                    }
                    if watcher::is_on() {
                        // SAFETY: the caller's conditions, and a tool watches.
                        return unsafe { watched::free::<Self>(block) };
                    }
                    // SAFETY: the caller's conditions.
                    unsafe { Of::<Self>::free(block, layout) }
                }
                #[inline]
                unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                    if cfg!(debug_assertions) {
                        freed_through::<Self>(block);
                    }
                    if watcher::is_on() {
                        // SAFETY: the caller's conditions, and a tool watches.
                        return unsafe { watched::realloc::<Self>(block, layout, new_size) };
                    }
                    // SAFETY: the caller's conditions.
                    unsafe { Of::<Self>::realloc(block, layout, new_size) }
                }
            }
        }
    };
}

/// Stamps the thread caches of a variant without tables. The slot holds the cache, or points to it.
macro_rules! stamp_cache {
    ($slot:ident, $type:ident) => {
        paste::paste! {
            thread_place!([<$type:snake:upper _INLINE>], [<$type:snake _inline>]: ThreadCache<()> = ThreadCache::uninit(()));
            stamp_caches! {
                $slot, $type, (), (),
                match <$type as Chosen>::THREAD_SLOT {
                    Slot::Inline => [<$type:snake _inline>](),
                    Slot::Pointer => [<$type:snake:upper _CACHE>].get(),
                }
            }
        }
    };
}

/// Stamps the thread caches of a variant with tables. The slot points to the cache.
#[allow(unused_macros, reason = "a build without a face has no tables")]
macro_rules! stamp_tables {
    ($slot:ident, $type:ident) => {
        paste::paste! {
            stamp_caches! {
                $slot, $type, AddressTables, AddressTables::new::<$type>(), [<$type:snake:upper _CACHE>].get()
            }
        }
    };
}

macro_rules! stamp_caches {
    ($slot:ident, $type:ident, $tables:ty, $new:expr, $cache:expr) => {
        paste::paste! {
            static [<$type:snake:upper _CLOSED>]: ThreadCache<$tables> = ThreadCache::uninit($new);
            $slot!([<$type:snake:upper _CACHE>]: ThreadCache<$tables> = [<$type:snake:upper _CLOSED>]);

            impl Cached for $type {
                type Tables = $tables;
                statics! {
                    dead: ThreadCache<$tables> = ThreadCache::dead($new);
                    pool: CachePool<$tables> = CachePool::new();
                    hook: ExitHook<CloseCache<$type>> = ExitHook::new();
                }
                #[inline(always)]
                fn cache() -> &'static ThreadCache<$tables> {
                    $cache
                }
                fn set_cache(cache: &'static ThreadCache<$tables>) {
                    if Self::THREAD_SLOT == Slot::Pointer {
                        [<$type:snake:upper _CACHE>].set(cache);
                    }
                }
                fn new_cache() -> Option<&'static ThreadCache<$tables>> {
                    ThreadCache::map($new)
                }
            }
        }
    };
}

with_variants!(stamp);
with_face!(stamp_face);
