//! Layer 2: what can be chosen. The knobs of a variant, and its size classes.
//!
//! The files in `variants/` set the knobs, the build script checks them and writes
//! `with_variants!`, and `api` stamps a type for each. A branch on a knob is an ordinary `if` on a
//! constant: every branch is type-checked in every build, and the dead ones vanish.

#![forbid(unsafe_code)]

mod classes;
mod limits;

pub(crate) use classes::SizeClasses;
pub(crate) use limits::{list_bytes_limit, window};

use crate::base::{CHUNK_LG, ClassIdx, MAX_CLASSES, MAX_SLOTS, SLOT_LG};
use core::alloc::Layout;

// The one place that Cargo features reach: the build script has read them.
include!(concat!(env!("OUT_DIR"), "/variants.rs"));

/// Who serves the size classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Backend {
    /// The system's malloc, for everything: the control group.
    System,
    /// Thread lists over slabs that the thread owns, over the shared pool: the founding report's.
    SuperSlab,
    /// Thread lists over slabs that nobody owns, in central lists per class.
    Central,
}

/// Which table of block sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Table {
    /// The founding report's eight: 8, 16, 32, 64, 128, 256, 512, 2048 bytes.
    Report,
    /// Steps of 16 bytes to 128, then four per doubling, to 32 KiB.
    Quarters,
    /// Steps of 16 bytes to 256, then eight per doubling to 2 KiB and four to 32 KiB.
    Eighths,
    /// The same with eight per doubling to 8 KiB.
    Finer,
}

/// How an address is turned into its SuperSlab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Registry {
    /// A walk over the list of all SuperSlabs.
    Linear,
    /// A hash table, behind a thread-local hint: the last one found.
    Hash,
    /// A two-level map with a byte per SuperSlab of the address space.
    Map,
}

/// What a drain does with a slab that it emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Recycle {
    /// Nothing: the slab stays with its thread, out of everybody's reach.
    None,
    /// It is retired to the pool's freelist of EMPTY slabs (the report's option A).
    Freelist,
}

/// What tells the class of a freed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum FreeBy {
    /// A lookup, which tells our blocks from the system's too.
    Lookup,
    /// The layout alone.
    Layout,
}

/// Who serves sizes above the classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Large {
    /// The system's malloc.
    System,
    /// Spans of slots, and mappings of their own.
    Own,
}

/// What bounds a thread's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Bound {
    /// `LIST_LIMIT` blocks, whatever their size; `BATCH` of them are moved at a time.
    Blocks,
    /// Bytes; a list's bound starts low and rises each time it was too low.
    Bytes,
}

/// Which slab with free blocks is taken from first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Partial {
    /// The one that came to have some last.
    Latest,
    /// One of the fullest, so that the emptiest become EMPTY.
    Fullest,
}

/// Whether memory that is still zero from the kernel is known to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Fresh {
    /// All memory is taken for used.
    Forgotten,
    /// Slots that were never touched, or purged since, are zero.
    Known,
}

/// What is given back to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Unit {
    /// Whole free slots.
    Slots,
    /// Free pages of slabs in part-use too.
    Pages,
}

/// When memory that waits to be used again goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Reclaim {
    /// When it has waited for `PURGE_MS`.
    Timed,
    /// Then, or as soon as more memory is mapped.
    First,
}

/// What is written where a mapping that was used before is to be zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Zeroing {
    /// All of it.
    All,
    /// The pages that hold something else.
    Dirty,
}

/// What the thread-local slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Slot {
    /// The address of the thread's lists.
    Pointer,
    /// The lists themselves.
    Inline,
}

/// What is done about a block that another allocator handed out. Who frees by layout does not look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Foreign {
    /// It is the next allocator's.
    Next,
    /// The program ends, with a line that says so.
    Fatal,
}

/// How a thread's list holds its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum ThreadList {
    /// By a link in each block.
    Linked,
    /// In an array of their addresses.
    Magazine,
}

/// What becomes of a thread's lists when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum ThreadExit {
    /// Their blocks go back.
    Drain,
    /// They wait for the next thread, for a while.
    Park,
}

/// In which order the blocks of a refill are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Spread {
    /// By address.
    Adjacent,
    /// So that neighbours in a cache line are not handed out one after the other.
    Apart,
}

/// What an allocation prefetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Prefetch {
    /// Nothing.
    Off,
    /// The block that the next allocation will hand out.
    Next,
}

/// Where a large block is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Growth {
    /// In the tightest hole, whether it is new or has grown; a mapping of its own has the pages it needs.
    Tight,
    /// One that has grown, where the most memory lies ahead: it may grow again. A mapping has up to an eighth more.
    Roomy,
}

/// Where huge pages are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum HugePages {
    /// Nowhere.
    Never,
    /// In blocks that cover some whole.
    Large,
    /// There, and in SuperSlabs whose slots are all in use.
    Used,
}

/// One point of the design space. The defaults are what a variant of the system backend leaves
/// unread; the build script insists on every knob for the others.
pub(crate) trait Variant: Copy + Send + Sync + 'static {
    /// File name, Cargo feature and bench id.
    const ID: &'static str;
    /// Id of the variant that this one is one knob away from.
    const PARENT: Option<&'static str>;
    const BACKEND: Backend;
    const SIZE_CLASSES: Table = Table::Report;
    /// Binary logarithm of a SuperSlab's bytes.
    const SUPERSLAB_LG: u32 = SLOT_LG;
    const REGISTRY: Registry = Registry::Linear;
    const RECYCLE: Recycle = Recycle::None;
    /// Slabs that stage 0.5 looks at per acquisition.
    const EMPTY_SCAN_LIMIT: usize = 0;
    /// SuperSlabs that may be mapped for one class.
    const SOFT_CAP: Option<u32> = None;
    /// Blocks that a thread keeps per class before it drains.
    const LIST_LIMIT: u32 = 1;
    /// Blocks moved by one refill or drain.
    const BATCH: u32 = 1;

    // ---- what only the central backend reads; the defaults are its parents' ways ----------------

    const FREE_BY: FreeBy = FreeBy::Lookup;
    const LARGE: Large = Large::System;
    /// MiB of freed mappings that are kept for reuse.
    const KEEP_MIB: usize = 0;
    const LIST_BOUND: Bound = Bound::Blocks;
    /// KiB of batches that wait, per class, to be taken by whichever thread comes next.
    const TRANSFER_KIB: usize = 0;
    const PARTIAL: Partial = Partial::Latest;
    const FRESH: Fresh = Fresh::Forgotten;
    /// Milliseconds after which unused memory goes back to the kernel.
    const PURGE_MS: Option<u32> = None;
    const PURGE_UNIT: Unit = Unit::Slots;
    const RECLAIM: Reclaim = Reclaim::Timed;
    const ZEROING: Zeroing = Zeroing::All;
    const THREAD_SLOT: Slot = Slot::Pointer;
    const THREAD_LIST: ThreadList = ThreadList::Linked;
    const THREAD_EXIT: ThreadExit = ThreadExit::Drain;
    const SPREAD: Spread = Spread::Adjacent;
    const PREFETCH: Prefetch = Prefetch::Off;
    const GROWTH: Growth = Growth::Tight;
    const FOREIGN: Foreign = Foreign::Next;
    const HUGE_PAGES: HugePages = HugePages::Never;

    /// Whether blocks are freed by their address alone, as in C: then nobody says a block's size, and the
    /// system's malloc is whichever comes next. No knob: the variant's face says so.
    const BY_ADDRESS: bool = false;

    // ---- what follows ---------------------------------------------------------------------------

    /// Whether a thread's lists are counted plainly: see `list::WindowList`. Where a block's class is not known
    /// before it is there, so is no step.
    const COUNTED: bool = Self::BY_ADDRESS
        && matches!(Self::BACKEND, Backend::Central)
        && matches!(Self::REGISTRY, Registry::Map)
        && matches!(Self::THREAD_LIST, ThreadList::Linked);
    /// The block sizes.
    const CLASSES: &'static SizeClasses = match Self::SIZE_CLASSES {
        Table::Report => &classes::REPORT,
        Table::Quarters => &classes::QUARTERS,
        Table::Eighths => &classes::EIGHTHS,
        Table::Finer => &classes::FINER,
    };
    /// Bytes of a SuperSlab; also its alignment.
    const SUPERSLAB_BYTES: usize = 1 << Self::SUPERSLAB_LG;
    /// Slots of a SuperSlab.
    const SLOTS: usize = Self::SUPERSLAB_BYTES >> SLOT_LG;
    /// Blocks moved at a time, per class, between a thread's list and the central one.
    const BATCHES: &'static [u16; MAX_CLASSES] = &limits::batches::<Self>();
    /// Where a class's array begins among those of a thread, in addresses; the last one is their length.
    const MAGAZINES: &'static [u32; MAX_CLASSES + 1] = &limits::magazines::<Self>();
    /// What a block counts for in a thread's list, per class: so many reach 2^31. For lists that are counted
    /// plainly, their windows.
    const STEPS: &'static [i32; MAX_CLASSES] = &limits::steps::<Self>();

    /// The class that serves a layout; `None` is above the classes.
    ///
    /// Folds to a constant where the layout is one.
    #[inline(always)]
    fn class_of(layout: Layout) -> Option<ClassIdx> {
        Self::CLASSES.class_aligned(layout.size(), layout.align())
    }
}

/// What a variant must keep for the layers above to be right. Stamped as a constant per variant, so
/// that a violation is a compile error that `cargo check` sees.
pub(crate) const fn check<V: Variant>() {
    assert!(V::SUPERSLAB_LG >= SLOT_LG, "`superslab_lg`: a SuperSlab holds at least one slot");
    assert!(V::SLOTS <= MAX_SLOTS, "`superslab_lg`: a claim mask holds at most 32 slots");
    assert!(V::BATCH >= 1 && V::BATCH <= V::LIST_LIMIT, "`batch`: from 1 to `list_limit`");
    if matches!(V::BACKEND, Backend::Central) {
        assert!(V::SUPERSLAB_LG == CHUNK_LG, "`superslab_lg`: the central backend's are 2 MiB");
        let ours_alone = matches!(V::FREE_BY, FreeBy::Layout) || matches!(V::LARGE, Large::Own);
        assert!(!ours_alone || V::SOFT_CAP.is_none(), "`soft_cap`: a fallback needs a lookup");
        let stacks = V::TRANSFER_KIB > 0;
        assert!(!stacks || V::CLASSES.least() >= 16, "`transfer_kib`: needs blocks of 16 bytes");
        let is_array = matches!(V::THREAD_LIST, ThreadList::Magazine);
        let is_inline = matches!(V::THREAD_SLOT, Slot::Inline);
        assert!(
            !(is_array && is_inline),
            "`thread_list`: arrays are too large for `thread_slot = inline`"
        );
        let is_fatal = matches!(V::FOREIGN, Foreign::Fatal);
        assert!(
            !is_fatal || matches!(V::LARGE, Large::Own),
            "`foreign`: large blocks of the system's malloc are foreign"
        );
        let parks = matches!(V::THREAD_EXIT, ThreadExit::Park);
        assert!(!(is_array && parks), "`thread_exit`: lists in arrays are not parked");
        // A closed list must stay closed for a pop and a push: see `list::WindowList`.
        assert!(V::BATCH >= 2 && V::BATCH <= 4096, "`batch`: the central backend moves 2 at least");
    }
}
