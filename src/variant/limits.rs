//! The limits of a thread's lists and the lengths of batches, per class, for the central backend.

use super::{Bound, Variant};
use crate::base::{BATCH_MOST, ClassIdx, MAX_CLASSES, quotient};

/// Bytes of a batch of blocks up to 1 KiB, if bytes bound it. A batch of larger blocks has half as many bytes, since
/// programs use few classes of these as often.
const BATCH_BYTES: usize = 16 * 1024;
/// Bytes that a thread's list of one class may grow to, if bytes bound it.
const LIST_BYTES: usize = 64 * 1024;

/// The least limit of a thread's list of this class: two batches. After a full list gave one batch away, it has one
/// batch left, and room for another.
pub(crate) const fn least_limit<V: Variant>(class: ClassIdx) -> u32 {
    2 * V::BATCHES[class.index()] as u32
}

/// The limit that a thread's list of this class may reach without a share of the heap.
pub(crate) const fn list_bytes_limit<V: Variant>(class: ClassIdx) -> u32 {
    V::LIST_BYTES_LIMITS[class.index()]
}

pub(super) const fn list_bytes_limits<V: Variant>() -> [u32; MAX_CLASSES] {
    let mut limits = [0; MAX_CLASSES];
    let mut class = 0;
    while class < V::CLASSES.count() {
        limits[class] = bytes_limit::<V>(ClassIdx::new(class));
        class += 1;
    }
    limits
}

const fn bytes_limit<V: Variant>(class: ClassIdx) -> u32 {
    match V::LIST_BOUND {
        Bound::Blocks => V::LIST_LIMIT,
        Bound::Bytes | Bound::Share => {
            let blocks = quotient(LIST_BYTES, V::CLASSES.block_bytes(class)) as u32;
            if blocks > least_limit::<V>(class) { blocks } else { least_limit::<V>(class) }
        }
    }
}

pub(super) const fn batches<V: Variant>() -> [u16; MAX_CLASSES] {
    let mut batches = [1; MAX_CLASSES];
    let mut class = 0;
    while class < V::CLASSES.count() {
        batches[class] = match V::LIST_BOUND {
            Bound::Blocks => V::BATCH as u16,
            Bound::Bytes | Bound::Share => {
                let bytes = V::CLASSES.block_bytes(ClassIdx::new(class));
                let blocks = (if bytes <= 1024 { BATCH_BYTES } else { BATCH_BYTES / 2 }) / bytes;
                if blocks < 2 {
                    2
                } else if blocks > BATCH_MOST {
                    BATCH_MOST as u16
                } else {
                    blocks as u16
                }
            }
        };
        class += 1;
    }
    batches
}
