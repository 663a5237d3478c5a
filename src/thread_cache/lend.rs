//! Lending: a class that a thread hardly uses takes blocks of another class, the *lender*. Only the C face lends, since
//! there a free finds a block's class by the address.
//!
//! | a class of a thread | the tables lead its sizes to | a slow path finds | becomes |
//! |---|---|---|---|
//! | borrows | the lender's list | that it would have borrowed more than a page, that its own list has a block, or that the lender has fetched [`LENT_BYTES`] | has its own |
//! | has its own | its own list | – | – |
//!
//! A slab of its own would cost the class a page at least. The lender's blocks are the next power of two, so they are
//! aligned as the request demands. What a thread borrows is counted in the slow paths alone: a batch that the lender
//! fetches for a class counts for this class, whoever takes its blocks.
//!
//! LE1  While the lists are not shut, the tables lead a size to the lender's list exactly if its class borrows.
//! LE2  Only the owner thread changes `own_classes`. It does so with the lock of the cache pool held.
//!
//! Never: touches a block, or makes a class borrow again.

use super::tables::Tables;
use super::{CacheOf, Cached, refill};
use crate::base::{ClassIdx, MAX_CLASSES, PAGE_BYTES, rank};
use crate::stats::{Unsound, ensure};
use crate::sys::held;
use crate::variant::{Lending, Variant};
use core::marker::PhantomData;
use core::ptr;

/// Bytes of blocks that a lender fetches before it stops to lend.
const LENT_BYTES: usize = 16 << 10;
/// Bytes of the largest blocks that are lent. A page holds few larger ones.
const MOST_BYTES: usize = 1024;

/// An error unless each size leads to the list of the class that serves it (LE1). For audits.
pub(crate) fn check<V: Cached>(cache: &CacheOf<V>) -> Result<(), Unsound> {
    let is_set = V::pool().with_made(|| {
        let is_quick = !V::COUNTED || !cache.is_shut();
        cache.tables.is_set::<V>(is_quick, cache.own_classes.get())
    });
    ensure(is_set, "LE1, the lists that sizes lead to", ptr::from_ref(cache).addr())
}

/// The class that lends to a class; `None` if every thread has blocks of its own.
pub(crate) const fn lender<V: Variant>(class: ClassIdx) -> Option<ClassIdx> {
    let bytes = V::CLASSES.block_bytes(class);
    let lends = V::COUNTED && matches!(V::LENDING, Lending::Page);
    if !lends || bytes > MOST_BYTES || bytes.is_power_of_two() {
        return None;
    }
    V::CLASS_TABLE.at(bytes.next_power_of_two(), 1)
}

/// The class that lends to a class in this thread; `None` if the class has its own blocks.
pub(crate) fn lender_in<V: Cached>(cache: &CacheOf<V>, class: ClassIdx) -> Option<ClassIdx> {
    if has_own(cache.own_classes.get(), class) { None } else { lender::<V>(class) }
}

/// True if a class is one of those that have their own blocks.
pub(super) const fn has_own(own_classes: u64, class: ClassIdx) -> bool {
    own_classes & 1 << class.index() != 0
}

/// The class whose blocks a slow path takes for a request of a class. It counts what the class borrows.
pub(super) fn serving<V: Cached>(cache: &'static CacheOf<V>, class: ClassIdx) -> ClassIdx {
    let Some(lender) = lender_in::<V>(cache, class) else { return class };
    let blocks = if cache.list(lender).len() > 0 { 1 } else { refill::wanted::<V>(cache, lender) };
    counted::<V>(cache, class, lender, blocks)
}

/// The class that serves a request of a class which borrows so many blocks of the lender. It counts them.
fn counted<V: Cached>(
    cache: &'static CacheOf<V>,
    class: ClassIdx,
    lender: ClassIdx,
    blocks: u32,
) -> ClassIdx {
    let borrowed = &cache.list_limits(class).borrowed;
    let bytes = borrowed.get() as usize + blocks as usize * V::CLASSES.block_bytes(lender);
    if bytes <= PAGE_BYTES && cache.list(class).len() == 0 {
        borrowed.set(bytes as u32);
        return lender;
    }
    give_own::<V>(cache, 1 << class.index());
    class
}

/// Counts a refill of so many blocks of a class. Once a lender has fetched [`LENT_BYTES`], nothing borrows from it any
/// more: a program that uses the lender itself would lend without an end, since borrowers find its list filled.
#[inline]
pub(super) fn count_refill<V: Cached>(cache: &'static CacheOf<V>, class: ClassIdx, blocks: u32) {
    if !V::COUNTED {
        return;
    }
    let borrowers = Borrowers::<V>::OF[class.index()] & !cache.own_classes.get();
    if borrowers == 0 {
        return;
    }
    let fetched = &cache.list_limits(class).borrowed;
    let bytes = fetched.get() as usize + blocks as usize * V::CLASSES.block_bytes(class);
    fetched.set(bytes as u32);
    if bytes > LENT_BYTES {
        give_own::<V>(cache, borrowers);
    }
}

/// True if a block of the lender may stay with a request of a class, as `realloc` shortens it. It counts the block.
#[allow(dead_code, reason = "a build without a face lends nothing")]
pub(crate) fn keeps<V: Cached>(class: ClassIdx, lender: ClassIdx) -> bool {
    let cache = V::cache();
    // A placeholder is shared, so nothing is counted there.
    cache.is_open()
        && lender_in::<V>(cache, class) == Some(lender)
        && counted::<V>(cache, class, lender, 1) == lender
}

/// A variant's borrowers, computed at compile time: every refill asks for them.
struct Borrowers<V>(PhantomData<V>);

impl<V: Variant> Borrowers<V> {
    /// For each class, the classes that borrow from it, as bits.
    const OF: [u64; MAX_CLASSES] = {
        let mut of = [0; MAX_CLASSES];
        let mut class = 0;
        while class < V::CLASSES.count() {
            if let Some(lender) = lender::<V>(ClassIdx::new(class)) {
                of[lender.index()] |= 1 << class;
            }
            class += 1;
        }
        of
    };
}

/// Gives classes blocks of their own, from now on.
fn give_own<V: Cached>(cache: &'static CacheOf<V>, classes: u64) {
    // With the lock, since another thread may be shutting the lists.
    V::pool().with_made(|| {
        held::check_rank(rank::CACHE_POOL); // Checks LE2.
        let own_classes = cache.own_classes.get() | classes;
        cache.own_classes.set(own_classes);
        if cache.is_shut() {
            return;
        }
        for class in ClassIdx::all(V::CLASSES.count()) {
            if has_own(classes, class) {
                cache.tables.set_class::<V>(class, own_classes);
            }
        }
    });
}
