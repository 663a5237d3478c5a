//! Checks: of the whole heap, for tests; of each freed block, in builds with debug assertions.

use crate::base::{ClassIdx, bit_range, slices_in};
use crate::central::{self, ListId};
use crate::free_block::sealed_link;
use crate::guarded;
use crate::page_map::Kind;
use crate::slab::{Segment, Slab, usable_slices};
use crate::stats::{Audit, Unsound, ensure};
use crate::sys::fatal::fatal;
use crate::sys::pages;
use crate::thread_cache::lend::{self, lender};
use crate::thread_cache::{CacheOf, Cached, flush, limits, shut, spans};
use crate::variant::least_limit;
use core::ptr::NonNull;
use core::{ptr, slice};

/// Blocks of a list that a debug build compares with a freed block, to find a double free.
const LOOKS: u32 = 256;

/// In debug builds, ends the process unless the freed address is a block of this class that is in use.
#[inline(always)]
pub(crate) fn freed<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, address: usize) {
    if cfg!(debug_assertions) {
        freed_cold::<V>(cache, class, address);
    }
}

#[cold]
#[inline(never)]
fn freed_cold<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, address: usize) {
    if !V::page_map().is_ours(address) {
        fatal("free of a block that is not in use:", address);
    }
    if V::page_map().has(address, Kind::Sampled) {
        // Its own free tells best what is wrong.
        if !V::page_heap().sampled.is_live(address) {
            V::page_heap().sampled.free(address);
        }
        return freed_twice::<V>(cache, class, address);
    }
    // A block that was lent is of the lender's class.
    let found = V::page_map().class(address);
    let class = lender::<V>(class).filter(|lender| found == Some(*lender)).unwrap_or(class);
    // SAFETY: an address of this variant lies in a segment, which is mapped.
    let slab = unsafe { Segment::containing(address) }.slab(Segment::slice_at(address));
    // Under the lock, since other threads take blocks from the slab and bring them home.
    let what = central::with_slab::<V, _>(class, slab, || match () {
        () if slab.capacity() == 0 => Some("free of a block that is not in use:"),
        () if slab.class() != class => Some("free with a layout of another size class:"),
        () if !slab.is_start::<V>(address) => Some("free of an address inside a block:"),
        () if !slab.has_out::<V>(address) => Some("double free:"),
        () => None,
    });
    if let Some(what) = what {
        fatal(what, address);
    }
    freed_twice::<V>(cache, class, address);
}

/// Ends the process if a block that is freed is in one of the thread's lists.
fn freed_twice<V: Cached>(cache: &CacheOf<V>, class: ClassIdx, address: usize) {
    if cache.outbox.has(address) || cache.list_limits(class).aside.has(address, LOOKS) {
        fatal("double free:", address);
    }
    let is_open = cache.is_open();
    if is_open
        && !cache.is_shut()
        && cache.list(class).has(address, LOOKS.max(least_limit::<V>(class)))
    {
        fatal("double free:", address);
    }
}

/// Ends the process, and says `what` was done, if the block of a class that starts at an address has a seal because it
/// is free.
#[inline]
pub(crate) fn sealed<V: Cached>(block: *mut u8, what: &str) {
    let Some(start) = NonNull::new(block) else { return };
    // SAFETY: a block of a class starts there, or the program has broken the rules of a free by layout: then an address of
    // 16 bytes that the program could free.
    if let Some(link) = unsafe { sealed_link::<V>(start) } {
        sealed_cold::<V>(block.addr(), link, what);
    }
}

/// Looks once more: a block in use may hold any numbers, and so a seal. But a free block leads to no block, or to one of
/// its class, as in a list.
#[cold]
#[inline(never)]
fn sealed_cold<V: Cached>(address: usize, link: usize, what: &str) {
    // Where no slab is any more, nothing is in use.
    let Some(class) = V::page_map().class(address) else { fatal(what, address) };
    let is_block = V::page_map().class(link) == Some(class) && V::CLASSES.is_start(class, link);
    if link == 0 || is_block {
        fatal(what, address);
    }
}

/// Checks what the threads share, every slab, and this thread's cache.
///
/// # Safety
/// No other thread touches this variant's heap.
pub(crate) unsafe fn audit<V: Cached>() -> Result<Audit, Unsound> {
    let cache = V::cache();
    check_cache::<V>(cache)?;
    if cache.is_open() {
        shut::open::<V>(cache);
        flush::<V>(cache);
    }
    central::check_shared::<V>(true)?;
    guarded::audit::check::<V>()?;
    let mut sum = Audit { threads: check_threads::<V>(cache)?, ..Audit::default() };
    let mut purgeable = 0;
    for segment in V::page_heap().all() {
        let mut taken = segment.free.get();
        sum.unused += taken.count_ones() as usize;
        for slice in slices_in(usable_slices::<V>() & !segment.free.get()) {
            let span = usize::from(segment.span[slice.index()].get());
            if span > 0 {
                taken |= bit_range(slice.index(), slice.index() + span);
                sum.spans += 1;
            }
        }
        for slice in slices_in(usable_slices::<V>() & !taken) {
            let slab = segment.slab(slice);
            check_slab::<V>(slab)?;
            purgeable += u32::from(!slab.is_purged());
            match slab.used() {
                0 => sum.empty += 1,
                used => {
                    sum.active += 1;
                    sum.used += used as usize;
                }
            }
        }
    }
    for arena in central::used::<V>() {
        for class in ClassIdx::all(V::CLASSES.count()) {
            let (list, id) = (V::central(arena, class), ListId { arena, class });
            let at = ptr::from_ref(list).addr();
            ensure(list.counts_purgeable::<V>(id), "what is to be purged is not looked for", at)?;
            purgeable -= list.purgeable_count().min(purgeable);
        }
    }
    ensure(purgeable == 0, "N6, a slab to be purged is in no list", 0)?;
    for class in ClassIdx::all(V::CLASSES.count()) {
        sum.waiting += V::transfer(class).len() as usize;
        if cache.is_open() {
            sum.listed += cache.list(class).len() as usize;
        }
    }
    sum.waiting += V::parked().lists::<V>().map(|(_, list)| list.len() as usize).sum::<usize>();
    sum.used += V::page_heap().sampled.in_use().0;
    check_places::<V>(cache, sum.listed + sum.waiting)?;
    ensure(sum.used >= sum.listed + sum.waiting, "N1, more blocks wait than have left", 0)?;
    Ok(sum)
}

/// An error unless a slab is sound, whether it is in a bin or not.
fn check_slab<V: Cached>(slab: &'static Slab) -> Result<(), Unsound> {
    let at = slab.page(0).addr().get();
    ensure(slab.capacity() > 0, "X1, a slice that is nothing", at)?;
    ensure(slab.is_sound::<V>(), "Y1-Y4, a slab's blocks", at)?;
    ensure(
        (slab.bin.get() > 0) == slab.has_blocks(),
        "N2, a slab is listed while it has blocks",
        at,
    )?;
    let is_noted = V::page_map().class(at) == Some(slab.class());
    ensure(is_noted, "A1, a slab in the page map", at)?;
    // With one arena a slab keeps its home.
    let has_home =
        slab.home.get().is_some_and(|home| central::used::<V>().any(|arena| arena == home));
    ensure(has_home == (V::ARENAS == 1 || slab.has_blocks()), "HM1, a slab's home", at)
}

/// An error unless this thread's cache is sound as it is, shut or not.
fn check_cache<V: Cached>(cache: &CacheOf<V>) -> Result<(), Unsound> {
    let is_open = cache.is_open();
    for class in ClassIdx::all(V::CLASSES.count()) {
        let (list, aside) = (cache.list(class), &cache.list_limits(class).aside);
        let at = ptr::from_ref(list).addr();
        let is_mine = |address| is_out::<V>(class, address);
        ensure(list.is_sound(is_mine), "W1, W2 or Z1, a thread's list", at)?;
        ensure(aside.is_sound(is_mine), "W1, blocks that lie aside", at)?;
        let is_closed = !is_open || cache.lies_aside::<V>();
        ensure(is_closed == list.is_closed(), "Z1 or Z3, a list is open or closed", at)?;
        ensure(aside.len() == 0 || cache.lies_aside::<V>(), "Z3, blocks lie aside", at)?;
    }
    if !is_open {
        return Ok(());
    }
    cache.outbox.check(|class, address| is_out::<V>(class, address))?;
    spans::check::<V>(cache)?;
    lend::check::<V>(cache)?;
    limits::check::<V>(cache)
}

/// An error unless threads and their arenas are counted. Returns the threads.
fn check_threads<V: Cached>(cache: &CacheOf<V>) -> Result<usize, Unsound> {
    let threads = V::pool().with_made(|| V::page_heap().users.check())?;
    let arena = cache.arena();
    let is_used = !cache.is_open() || central::used::<V>().any(|used| used == arena);
    ensure(is_used, "AR1, this thread's arena", ptr::from_ref(cache).addr())?;
    Ok(threads)
}

/// True if a block of a class starts at an address, and is out of its slab.
fn is_out<V: Cached>(class: ClassIdx, address: usize) -> bool {
    if V::page_map().has(address, Kind::Sampled) {
        return V::page_heap().sampled.is_live(address);
    }
    V::page_map().class(address) == Some(class) && {
        // SAFETY: a slab lies in a segment, which is mapped.
        let segment = unsafe { Segment::containing(address) };
        let slab = segment.slab(Segment::slice_at(address));
        slab.capacity() > 0 && slab.class() == class && slab.has_out::<V>(address)
    }
}

/// An error unless each of so many blocks that wait is out of its slab, and in one place (N1).
fn check_places<V: Cached>(cache: &CacheOf<V>, count: usize) -> Result<(), Unsound> {
    let bytes = (count * size_of::<usize>()).max(1);
    // Without memory for a table, this check is left out.
    let Some(table) = pages::map(bytes) else { return Ok(()) };
    // SAFETY: mapped above, zeroed, and no other code knows of it; it has room for `count` numbers.
    let places = unsafe { slice::from_raw_parts_mut(table.cast::<usize>().as_ptr(), count) };
    let mut rest = places.iter_mut();
    let mut note = |class, address| {
        if let Some(place) = rest.next() {
            *place = address;
        }
        is_out::<V>(class, address)
    };
    let mut all_out = true;
    for class in ClassIdx::all(V::CLASSES.count()) {
        all_out &= V::transfer(class).waiting().all(|address| note(class, address));
        if cache.is_open() {
            all_out &= cache.list(class).is_sound(|address| note(class, address));
        }
    }
    for (class, list) in V::parked().lists::<V>() {
        all_out &= list.is_sound(|address| note(class, address));
    }
    places.sort_unstable();
    let twice = places.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
    // SAFETY: mapped above, and used no more.
    unsafe { pages::unmap(table, bytes) };
    ensure(all_out, "N1, TC1 or Q2, a block that waits is at home", 0)?;
    ensure(twice.is_none(), "N1, a block waits in two places", twice.unwrap_or(0))
}
