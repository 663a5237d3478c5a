//! Layer 2: the knobs of a variant, and its size classes.
//!
//! The files in `variants/` set the knobs. `cargo ci variants` checks the files, and writes
//! `variants/generated/table.rs`. There each variant is a constant of type [`Knobs`]. The build script selects the
//! variants that the Cargo features name, and `face` stamps a type for each.
//!
//! A branch on a knob is an ordinary `if` on a constant. Every build type-checks every branch, and drops the dead ones.

#![forbid(unsafe_code)]

mod classes;
mod limits;

pub(crate) use classes::{SizeClasses, SizeTable, is_multiple};
pub(crate) use limits::{least_limit, list_bytes_limit};

use crate::base::{
    BATCH_MOST, ClassIdx, ListOffset, MAX_CLASSES, MAX_SLICES, SEGMENT_LG, SLICE_LG,
};
use core::alloc::Layout;

// The one place that Cargo features reach: the build script has read them.
include!(concat!(env!("OUT_DIR"), "/selection.rs"));

/// Defines from the list of knobs: an enum for each knob whose values are words, [`Knobs`], and [`Chosen`].
macro_rules! knobs {
    ($($(#[$doc:meta])+ $key:ident: $type:ident, $scope:ident, $values:tt;)*) => {
        $(knob_type! { $(#[$doc])+ $type $values })*

        /// A value for each knob.
        #[derive(Clone, Copy)]
        pub(crate) struct Knobs {
            $($(#[$doc])+ pub(crate) $key: value_type!($type $values),)*
        }

        impl Knobs {
            /// The defaults: the value of each knob that no variant file sets.
            pub(crate) const DEFAULT: Self = Self { $($key: default_value!($type $values),)* };
        }

        paste::paste! {
            /// The knobs of a variant, each as a constant.
            pub(crate) trait Chosen {
                /// All knobs.
                const KNOBS: Knobs;
                $($(#[$doc])+ const [<$key:upper>]: value_type!($type $values) = Self::KNOBS.$key;)*
            }
        }
    };
}

macro_rules! knob_type {
    ($(#[$doc:meta])+ $type:ident { $($(#[$about:meta])+ $value:ident = $word:literal,)+ }) => {
        $(#[$doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(dead_code, reason = "a build need not stamp a variant of each kind")]
        pub(crate) enum $type {
            $($(#[$about])+ $value,)+
        }
    };
    // Numbers have a type already.
    ($(#[$doc:meta])+ $type:ident $range:tt) => {};
}

macro_rules! value_type {
    ($type:ident [$($range:tt)+]) => { Option<$type> };
    ($type:ident $values:tt) => { $type };
}

macro_rules! default_value {
    ($type:ident { $(#[$doc:meta])+ $first:ident $($rest:tt)* }) => {
        $type::$first
    };
    ($type:ident ($least:literal..=$most:literal)) => {
        $least
    };
    ($type:ident [$($range:tt)+]) => {
        None
    };
}

include!("knobs.rs");

/// Makes of the table of variants the knobs of each.
macro_rules! table {
    ($stamp:literal; $($type:ident $name:ident $about:tt = $knobs:expr;)*) => {
        /// The variants' knobs, by the names that the table gives them.
        #[allow(dead_code, reason = "a build stamps some of them")]
        pub(crate) mod values {
            #[allow(clippy::wildcard_imports, reason = "the words of all knobs")]
            use super::*;

            $(pub(crate) const $name: Knobs = $knobs;)*
        }
    };
}

include!("../../variants/generated/table.rs");

/// Writes functions that return a static each. Each stamped type has statics of its own. The linker drops those whose
/// function no variant of the program calls.
macro_rules! statics {
    ($($name:ident: $type:ty = $value:expr;)*) => {
        $(
            #[inline(always)]
            fn $name() -> &'static $type {
                static STATIC: $type = $value;
                &STATIC
            }
        )*
    };
}
pub(crate) use statics;

/// A variant: one point of the design space.
pub(crate) trait Variant: Chosen + Copy + Send + Sync + 'static {
    /// The variant's file name in `variants/`, Cargo feature and benchmark id.
    const ID: &'static str;
    /// The id of the variant that this one is one knob away from.
    const PARENT: Option<&'static str>;
    /// The backend that the knob `backend` names, as a type (`backend.rs`).
    type Backend;

    /// True for the C face, whose callers free blocks by address alone, without a layout. Its system malloc is the next
    /// allocator. It is no knob, since the stamp of the face sets it.
    const BY_ADDRESS: bool = false;

    /// True if huge blocks are recorded, by their address.
    const RECORDS_HUGE: bool = Self::BY_ADDRESS || matches!(Self::LARGE, Large::Fenced);
    /// True if each block has a tail, but those of the system's malloc and huge ones.
    const HAS_TAILS: bool = matches!(Self::TAIL, Tail::Checked);
    /// True if the thread caches have tables: a free finds the block's list by the address.
    const COUNTED: bool = Self::BY_ADDRESS && matches!(Self::BACKEND, Backend::Central);
    /// The block sizes.
    const CLASSES: &'static SizeClasses = match Self::SIZE_CLASSES {
        Table::Report => &classes::REPORT,
        Table::Eighths => &classes::EIGHTHS,
        Table::Finer => &classes::FINER,
    };
    /// From a size to its class.
    const CLASS_TABLE: &'static SizeTable<ClassIdx> = match Self::SIZE_CLASSES {
        Table::Report => &classes::REPORT_CLASSES,
        Table::Eighths => &classes::EIGHTHS_CLASSES,
        Table::Finer => &classes::FINER_CLASSES,
    };
    /// From a size to the list of its class.
    const LIST_TABLE: &'static SizeTable<ListOffset> = match Self::SIZE_CLASSES {
        Table::Report => &classes::REPORT_LISTS,
        Table::Eighths => &classes::EIGHTHS_LISTS,
        Table::Finer => &classes::FINER_LISTS,
    };
    /// Bytes of a SuperSlab, and its alignment.
    const SUPERSLAB_BYTES: usize = 1 << Self::SUPERSLAB_LG;
    /// Slices of a SuperSlab.
    const SLICES: usize = Self::SUPERSLAB_BYTES >> SLICE_LG;
    /// For each class, the blocks of a batch between a thread's list and the central list.
    const BATCHES: &'static [u16; MAX_CLASSES] = &limits::batches::<Self>();
    /// For each class, the limit that a thread's list may reach without a share of the heap.
    const LIST_BYTES_LIMITS: &'static [u32; MAX_CLASSES] = &limits::list_bytes_limits::<Self>();

    /// The class that serves a layout; `None` if the layout is above the classes.
    ///
    /// It folds to a constant if the layout is one.
    #[inline(always)]
    fn class_of(layout: Layout) -> Option<ClassIdx> {
        Self::CLASS_TABLE.at(layout.size(), layout.align())
    }

    /// The list of the class that serves a layout; `None` if the layout is above the classes.
    #[inline(always)]
    fn list_of(layout: Layout) -> Option<ListOffset> {
        Self::LIST_TABLE.at(layout.size(), layout.align())
    }
}

/// A variant's knobs in the C face.
///
/// C programs free by address, and more of them misuse an allocator, so all checks are on. They need blocks of 16 bytes.
#[allow(dead_code, reason = "a build without a face stamps none")]
pub(crate) const fn by_address(knobs: Knobs) -> Knobs {
    let is_central = matches!(knobs.backend, Backend::Central);
    let has_tails = matches!(knobs.tail, Tail::Checked);
    let checks = is_central && !matches!(knobs.size_classes, Table::Report);
    Knobs {
        // A shared library has no room in its thread-local storage for the lists themselves.
        thread_slot: Slot::Pointer,
        // A block that was lent is not of its layout's class.
        free_by: if is_central { FreeBy::Lookup } else { knobs.free_by },
        links: if checks && matches!(knobs.links, Links::Bare) {
            Links::Sealed
        } else {
            knobs.links
        },
        // A block's tail lies at the end of a block of its layout's class.
        lending: if has_tails { Lending::None } else { knobs.lending },
        // A tail tells all that these checks find.
        freed: if checks && !has_tails { Freed::Sealed } else { knobs.freed },
        inside: if checks && !has_tails { Inside::Checked } else { knobs.inside },
        empty: if checks && !has_tails { Empty::Unreadable } else { knobs.empty },
        ..knobs
    }
}

/// Checks the conditions that the layers above demand of a variant's knobs.
///
/// The stamp evaluates it in a constant for each variant, so a violation is a compile error.
pub(crate) const fn check<V: Variant>() {
    assert!(V::SUPERSLAB_LG >= SLICE_LG, "`superslab_lg`: a SuperSlab holds at least one slice");
    assert!(V::SLICES <= MAX_SLICES, "`superslab_lg`: a claim mask holds at most 32 slices");
    assert!(V::BATCH >= 1 && V::BATCH <= V::LIST_LIMIT, "`batch`: from 1 to `list_limit`");
    if matches!(V::BACKEND, Backend::Central) {
        assert!(V::SUPERSLAB_LG == SEGMENT_LG, "`superslab_lg`: the central backend's are 2 MiB");
        assert!(matches!(V::REGISTRY, Registry::Map), "`registry`: the central backend's is a map");
        assert!(V::SOFT_CAP.is_none(), "`soft_cap`: the central backend serves its classes alone");
        let has_small = matches!(V::SIZE_CLASSES, Table::Report);
        assert!(
            !has_small || matches!(V::LINKS, Links::Bare),
            "`links`: a seal needs blocks of 16 bytes"
        );
        assert!(
            matches!(V::FREED, Freed::Home) || !matches!(V::LINKS, Links::Bare),
            "`freed`: a free looks for the seal of a link"
        );
        let has_tails = matches!(V::TAIL, Tail::Checked);
        assert!(!has_tails || !has_small, "`tail`: a tail needs blocks of 16 bytes");
        let relies = V::QUARANTINE > 0
            || matches!(V::WIPE, Wipe::Checked)
            || matches!(V::LARGE, Large::Fenced);
        assert!(!relies || has_tails, "`tail`: the other checks of freed blocks need it");
        assert!(
            matches!(V::HEADERS, Headers::Open) || matches!(V::LARGE, Large::Fenced),
            "`headers`: addresses that return to the map cache must have access"
        );
        let is_fatal = matches!(V::FOREIGN, Foreign::Fatal);
        assert!(
            !is_fatal || !matches!(V::LARGE, Large::System),
            "`foreign`: large blocks of the system's malloc are foreign"
        );
        assert!(
            2 * V::BATCH <= V::LIST_LIMIT,
            "`list_limit`: the central backend's lists hold two batches"
        );
        let is_batch = V::BATCH >= 2 && V::BATCH as usize <= BATCH_MOST;
        assert!(is_batch, "`batch`: the central backend moves from 2 to 64 blocks");
    }
}
