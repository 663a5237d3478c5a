//! Layer 2: what can be chosen. The knobs of a variant, and its size classes.
//!
//! The files in `variants/` set the knobs, the build script checks them and writes
//! `with_variants!`, and `api` stamps a type for each. A branch on a knob is an ordinary `if` on a
//! constant: every branch is type-checked in every build, and the dead ones vanish.

#![forbid(unsafe_code)]

mod classes;

pub(crate) use classes::SizeClasses;

use crate::base::{ClassIdx, MAX_SLOTS, SLOT_LG};
use core::alloc::Layout;

// The one place that Cargo features reach: the build script has read them.
include!(concat!(env!("OUT_DIR"), "/variants.rs"));

/// Who serves the size classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Backend {
    /// The system's malloc, for everything: the control group.
    System,
    /// Thread lists over slabs over the shared pool.
    SuperSlab,
}

/// Which table of block sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    /// The founding report's eight: 8, 16, 32, 64, 128, 256, 512, 2048 bytes.
    Report,
}

/// How an address is turned into its SuperSlab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
pub(crate) enum Registry {
    /// A walk over the list of all SuperSlabs.
    Linear,
    /// A hash table, behind a thread-local hint: the last one found.
    Hash,
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

    /// The block sizes.
    const CLASSES: &'static SizeClasses = match Self::SIZE_CLASSES {
        Table::Report => &classes::REPORT,
    };
    /// Bytes of a SuperSlab; also its alignment.
    const SUPERSLAB_BYTES: usize = 1 << Self::SUPERSLAB_LG;
    /// Slots of a SuperSlab.
    const SLOTS: usize = Self::SUPERSLAB_BYTES >> SLOT_LG;

    /// The class that serves a layout; `None` is above the classes.
    ///
    /// A block of a class is aligned to its own size (the size classes prove it), so the larger of
    /// size and alignment decides. Folds to a constant where the layout is one.
    #[inline(always)]
    fn class_of(layout: Layout) -> Option<ClassIdx> {
        let (size, align) = (layout.size(), layout.align());
        Self::CLASSES.class_of(if size > align { size } else { align })
    }
}

/// What a variant must keep for the layers above to be right. Stamped as a constant per variant, so
/// that a violation is a compile error that `cargo check` sees.
pub(crate) const fn check<V: Variant>() {
    assert!(V::SUPERSLAB_LG >= SLOT_LG, "`superslab_lg`: a SuperSlab holds at least one slot");
    assert!(V::SLOTS <= MAX_SLOTS, "`superslab_lg`: a claim mask holds at most 32 slots");
    assert!(V::BATCH >= 1 && V::BATCH <= V::LIST_LIMIT, "`batch`: from 1 to `list_limit`");
}
