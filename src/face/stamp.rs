//! The stamp: macros that define one type per variant, with its statics, its thread slot and its `GlobalAlloc`.
//!
//! A `static` in a generic function would be one static for all variants, and `thread_local!` cannot be generic. So
//! macros stamp these. All other code is generic over the type.

use super::observe::Observe;
use super::unload::prepare_at_start;
use crate::backend::{Backend, Choice, Choose, Of};
use crate::base::{ClassIdx, MAX_CLASSES};
use crate::central::{Arena, HugeBlocks, PageHeap, Parked, Shared, Transfer};
use crate::page_map::PageMap;
use crate::report::heap::{GiveUpHeap, Heap, Heaps, Hosted};
use crate::report::pool::{Pool, Pooled};
use crate::report::registry::{Directory, HashTable, Registered};
use crate::stats::Counters;
use crate::sys::pages;
use crate::sys::thread::ExitHook;
use crate::sys::tls::{thread_place, thread_slot};
use crate::thread_cache::lifecycle::{CachePool, CloseCache};
use crate::thread_cache::{Cached, ThreadCache};
use crate::variant::{self, Chosen, Knobs, Slot, Variant, values, with_face, with_variants};
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
            // A shared library has no room in its thread-local storage for the lists themselves.
            Knobs { thread_slot: Slot::Pointer, ..values::$knobs }
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

            // The linker drops the statics that a program's variants do not refer to.
            static [<$type:snake:upper _DIRECTORY>]: Directory = Directory::new();
            static [<$type:snake:upper _HASH_TABLE>]: HashTable = HashTable::new();
            static [<$type:snake:upper _PAGE_MAP>]: PageMap = PageMap::new();

            // The statics of the report's backend.
            static [<$type:snake:upper _POOL>]: Pool = Pool::new();
            static [<$type:snake:upper _HEAPS>]: Heaps = Heaps::new();
            static [<$type:snake:upper _HEAP_HOOK>]: ExitHook<GiveUpHeap<$type>> = ExitHook::new();
            static [<$type:snake:upper _NOT_YET>]: Heap = Heap::placeholder_not_yet();
            static [<$type:snake:upper _NO_MORE>]: Heap = Heap::placeholder_no_more();
            $slot!([<$type:snake:upper _LOCAL>]: Heap = [<$type:snake:upper _NOT_YET>]);

            // The statics of the central backend.
            static [<$type:snake:upper _ARENAS>]: [Arena; <$type as Chosen>::ARENAS] = [const { Arena::new() }; <$type as Chosen>::ARENAS];
            static [<$type:snake:upper _TRANSFER>]: [Transfer; MAX_CLASSES] = [const { Transfer::new() }; MAX_CLASSES];
            static [<$type:snake:upper _PARKED>]: Parked = Parked::new();
            static [<$type:snake:upper _PAGE_HEAP>]: PageHeap = PageHeap::new();
            static [<$type:snake:upper _HUGE_BLOCKS>]: HugeBlocks = HugeBlocks::new();
            static [<$type:snake:upper _CACHE_POOL>]: CachePool<<$type as Cached>::Tables> = CachePool::new();
            static [<$type:snake:upper _CACHE_HOOK>]: ExitHook<CloseCache<$type>> = ExitHook::new();
            static [<$type:snake:upper _COUNTERS>]: Counters = Counters::new();

            // Runs before the program's own initialisers. So the exit handlers that those register run before the
            // variant is released.
            #[used]
            #[unsafe(link_section = ".init_array.00098")]
            static [<$type:snake:upper _AT_START>]: extern "C" fn() = prepare_at_start::<$type>;

            impl Registered for $type {
                #[inline(always)]
                fn directory() -> &'static Directory {
                    &[<$type:snake:upper _DIRECTORY>]
                }
                #[inline(always)]
                fn table() -> &'static HashTable {
                    &[<$type:snake:upper _HASH_TABLE>]
                }
                #[inline(always)]
                fn map() -> &'static PageMap {
                    &[<$type:snake:upper _PAGE_MAP>]
                }
            }

            impl Pooled for $type {
                #[inline(always)]
                fn pool() -> &'static Pool {
                    &[<$type:snake:upper _POOL>]
                }
            }

            impl Hosted for $type {
                #[inline(always)]
                fn heaps() -> &'static Heaps {
                    &[<$type:snake:upper _HEAPS>]
                }
                #[inline(always)]
                fn local() -> &'static Heap {
                    [<$type:snake:upper _LOCAL>].get()
                }
                fn set_local(heap: &'static Heap) {
                    [<$type:snake:upper _LOCAL>].set(heap);
                }
                fn hook() -> &'static ExitHook<GiveUpHeap<Self>> {
                    &[<$type:snake:upper _HEAP_HOOK>]
                }
                fn not_yet() -> &'static Heap {
                    &[<$type:snake:upper _NOT_YET>]
                }
                fn no_more() -> &'static Heap {
                    &[<$type:snake:upper _NO_MORE>]
                }
            }

            impl Shared for $type {
                #[inline(always)]
                fn arenas() -> &'static [Arena] {
                    &[<$type:snake:upper _ARENAS>]
                }
                fn transfer(class: ClassIdx) -> &'static Transfer {
                    &[<$type:snake:upper _TRANSFER>][class.index()]
                }
                fn parked() -> &'static Parked {
                    &[<$type:snake:upper _PARKED>]
                }
                #[inline(always)]
                fn page_heap() -> &'static PageHeap {
                    &[<$type:snake:upper _PAGE_HEAP>]
                }
                #[inline(always)]
                fn page_map() -> &'static PageMap {
                    &[<$type:snake:upper _PAGE_MAP>]
                }
                fn huge_blocks() -> &'static HugeBlocks {
                    &[<$type:snake:upper _HUGE_BLOCKS>]
                }
                #[inline(always)]
                fn counters() -> &'static Counters {
                    &[<$type:snake:upper _COUNTERS>]
                }
            }

            $lists!($type);

            // SAFETY: the backends keep the trait's promises. A block fits its layout, and stays the caller's until it
            // is freed. Nothing unwinds: no path of a release build panics, and every callback is part of this crate.
            unsafe impl GlobalAlloc for $type {
                #[inline]
                unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                    // SAFETY: the caller's condition.
                    unsafe { Of::<Self>::alloc(layout) }
                }
                #[inline]
                unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
                    // SAFETY: the caller's condition.
                    unsafe { Of::<Self>::alloc_zeroed(layout) }
                }
                #[inline]
                unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
                    if cfg!(debug_assertions) {
                        freed_through::<Self>(block);
                    }
                    // SAFETY: the caller's conditions.
                    unsafe { Of::<Self>::free(block, layout) }
                }
                #[inline]
                unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
                    if cfg!(debug_assertions) {
                        freed_through::<Self>(block);
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
    ($type:ident) => {
        paste::paste! {
            static [<$type:snake:upper _CLOSED>]: ThreadCache<()> = ThreadCache::uninit(());
            static [<$type:snake:upper _DEAD>]: ThreadCache<()> = ThreadCache::dead(());
            thread_slot!([<$type:snake:upper _CACHE>]: ThreadCache<()> = [<$type:snake:upper _CLOSED>]);
            thread_place!([<$type:snake:upper _INLINE>], [<$type:snake _inline>]: ThreadCache<()> = ThreadCache::uninit(()));

            impl Cached for $type {
                type Tables = ();
                #[inline(always)]
                fn cache() -> &'static ThreadCache<()> {
                    match Self::THREAD_SLOT {
                        Slot::Inline => [<$type:snake _inline>](),
                        Slot::Pointer => [<$type:snake:upper _CACHE>].get(),
                    }
                }
                fn set_cache(cache: &'static ThreadCache<()>) {
                    if Self::THREAD_SLOT == Slot::Pointer {
                        [<$type:snake:upper _CACHE>].set(cache);
                    }
                }
                fn dead() -> &'static ThreadCache<()> {
                    &[<$type:snake:upper _DEAD>]
                }
                fn pool() -> &'static CachePool<Self::Tables> {
                    &[<$type:snake:upper _CACHE_POOL>]
                }
                fn hook() -> &'static ExitHook<CloseCache<Self>> {
                    &[<$type:snake:upper _CACHE_HOOK>]
                }
                fn new_cache() -> Option<&'static ThreadCache<()>> {
                    pages::leaked(ThreadCache::uninit(()))
                }
            }
        }
    };
}

/// Stamps the thread caches of a variant with tables. The slot points to the cache.
#[allow(unused_macros, reason = "a build without a face has no tables")]
macro_rules! stamp_tables {
    ($type:ident) => {
        paste::paste! {
            static [<$type:snake:upper _CLOSED>]: ThreadCache<AddressTables> = ThreadCache::uninit(AddressTables::new::<$type>());
            static [<$type:snake:upper _DEAD>]: ThreadCache<AddressTables> = ThreadCache::dead(AddressTables::new::<$type>());
            exec_slot!([<$type:snake:upper _CACHE>]: ThreadCache<AddressTables> = [<$type:snake:upper _CLOSED>]);

            impl Cached for $type {
                type Tables = AddressTables;
                #[inline(always)]
                fn cache() -> &'static ThreadCache<AddressTables> {
                    [<$type:snake:upper _CACHE>].get()
                }
                fn set_cache(cache: &'static ThreadCache<AddressTables>) {
                    [<$type:snake:upper _CACHE>].set(cache);
                }
                fn dead() -> &'static ThreadCache<AddressTables> {
                    &[<$type:snake:upper _DEAD>]
                }
                fn pool() -> &'static CachePool<Self::Tables> {
                    &[<$type:snake:upper _CACHE_POOL>]
                }
                fn hook() -> &'static ExitHook<CloseCache<Self>> {
                    &[<$type:snake:upper _CACHE_HOOK>]
                }
                fn new_cache() -> Option<&'static ThreadCache<AddressTables>> {
                    pages::leaked(ThreadCache::uninit(AddressTables::new::<Self>()))
                }
            }
        }
    };
}

with_variants!(stamp);
with_face!(stamp_face);
