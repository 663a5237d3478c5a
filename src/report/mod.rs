//! Layer 5, beside the central backend: the founding report's allocator, the baseline that the variants' ledger starts
//! from.
//!
//! ```text
//! heap      a thread's lists, over slabs that the thread owns
//!   │ acquires, retires
//! pool      slabs for all threads, in stages: 0.5 → 1 → 2 → 3 → the system's malloc
//!   │ maps                 │ looks up
//! slab      SuperSlabs     registry   address → SuperSlab
//!   └───────── list ───────┘
//! ```
//!
//! It uses the layers below both backends, and nothing of the central backend. Only `face` uses it. A module imports
//! only from the modules before it in this order: `list`, `slab`, `registry`, `pool`, `heap`, `backend`. `README.md`
//! lists the differences to the central backend.
//!
//! Never: is part of a program whose variants are all of the central backend.

mod backend;
pub(crate) mod heap;
pub(crate) mod list;
pub(crate) mod pool;
pub(crate) mod registry;
pub(crate) mod slab;

use crate::page_map::PageMap;
use crate::sys::thread::ExitHook;
use crate::variant::Variant;
use heap::{GiveUpHeap, Heap, Heaps};
use pool::Pool;
use registry::{HashTable, SuperSlabs};

/// A variant with the statics of the report's allocator. It names the types of all modules, so it is in none of them.
pub(crate) trait Statics: Variant {
    /// All SuperSlabs in the order in which they were mapped.
    fn directory() -> &'static SuperSlabs;
    /// The hash table of SuperSlabs. Read where `registry = "hash"`.
    fn table() -> &'static HashTable;
    /// The page map. Read where `registry = "map"`.
    fn map() -> &'static PageMap;
    /// The pool.
    fn pool() -> &'static Pool;
    /// All heaps of the variant.
    fn heaps() -> &'static Heaps;
    /// This thread's heap, or the placeholder that stands for one.
    fn local() -> &'static Heap;
    /// Sets the heap that [`local`](Self::local) returns in this thread.
    fn set_local(heap: &'static Heap);
    /// The hook that gives up a thread's heap when the thread ends.
    fn hook() -> &'static ExitHook<GiveUpHeap<Self>>;
    /// The placeholder of threads that have had their heap.
    fn no_more() -> &'static Heap;
    /// The placeholder of threads that have none yet.
    fn not_yet() -> &'static Heap;
}

/// Stamps the statics of a variant. Its page map is the one that the central backend would use.
macro_rules! stamp_report {
    ($slot:ident, $type:ident) => {
        paste::paste! {
            static [<$type:snake:upper _NOT_YET>]: Heap = Heap::placeholder_not_yet();
            $slot!([<$type:snake:upper _LOCAL>]: Heap = [<$type:snake:upper _NOT_YET>]);

            impl report::Statics for $type {
                statics! {
                    directory: SuperSlabs = SuperSlabs::new();
                    table: HashTable = HashTable::new();
                    pool: Pool = Pool::new();
                    heaps: Heaps = Heaps::new();
                    hook: ExitHook<GiveUpHeap<$type>> = ExitHook::new();
                    no_more: Heap = Heap::placeholder_no_more();
                }
                #[inline(always)]
                fn map() -> &'static PageMap {
                    <Self as Shared>::page_map()
                }
                #[inline(always)]
                fn local() -> &'static Heap {
                    [<$type:snake:upper _LOCAL>].get()
                }
                fn set_local(heap: &'static Heap) {
                    [<$type:snake:upper _LOCAL>].set(heap);
                }
                fn not_yet() -> &'static Heap {
                    &[<$type:snake:upper _NOT_YET>]
                }
            }
        }
    };
}
pub(crate) use stamp_report;
