//! The next allocator: the one whose functions the dynamic linker finds behind this library's. Mostly it is the C
//! library's.
//!
//! `dlsym` finds each function when it is first needed. `dlsym` itself may allocate. Such blocks come from an arena of
//! bytes, and stay there.
//!
//! Never: locks, or allocates through itself.

use super::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use super::thread;
use crate::base::bytes_to_multiple;
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_void};
use core::ptr;

/// Bytes of the arena: enough for some tens of the loader's thread-local error messages.
const ARENA: usize = 64 << 10;
/// Bytes of the header before a block of the arena, which holds the block's size. Also the least alignment.
const HEAD: usize = 16;

#[repr(align(16))]
struct Arena(UnsafeCell<[u8; ARENA]>);

// SAFETY: `from_arena` hands each part of the bytes out once, so no two threads share a part.
unsafe impl Sync for Arena {}

static BYTES: Arena = Arena(UnsafeCell::new([0; ARENA]));
/// Bytes of the arena that are taken. [shared]
static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// The numbers of the threads that are in `dlsym`; 0 for a free place. [shared]
static LOOKERS: [AtomicU32; 16] = [const { AtomicU32::new(0) }; 16];

/// One of the next allocator's functions.
struct Function {
    name: &'static CStr,
    /// The function's address; null until it is found. [shared], [const] once set
    address: AtomicPtr<c_void>,
}

impl Function {
    const fn new(name: &'static CStr) -> Self {
        Self { name, address: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The function's address. Null if there is none, or if this thread is in `dlsym` already.
    fn find(&self) -> *mut c_void {
        // ORDERING: relaxed; an address of code that was there before the process's first thread.
        let known = self.address.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        let me = thread::id();
        // ORDERING: relaxed, here and below; a thread only looks for its own number, which it stored itself.
        if LOOKERS.iter().any(|looker| looker.load(Ordering::Relaxed) == me) {
            return ptr::null_mut();
        }
        let claims = |looker: &&AtomicU32| {
            looker.compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        // If more threads than places are here for the first time, this thread goes without the function. It must not
        // wait for the others: they may wait for the loader's lock, which this thread may hold.
        let Some(place) = LOOKERS.iter().find(claims) else { return ptr::null_mut() };
        // SAFETY: the name is a string that ends in 0, and `dlsym` accepts the handle RTLD_NEXT.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        // ORDERING: relaxed; code at this address was there before the process's first thread.
        self.address.store(found, Ordering::Relaxed);
        place.store(0, Ordering::Relaxed);
        found
    }
}

static MALLOC: Function = Function::new(c"malloc");
static CALLOC: Function = Function::new(c"calloc");
static REALLOC: Function = Function::new(c"realloc");
static FREE: Function = Function::new(c"free");
static MEMALIGN: Function = Function::new(c"memalign");
static USABLE_SIZE: Function = Function::new(c"malloc_usable_size");
static TRIM: Function = Function::new(c"malloc_trim");
static MALLINFO2: Function = Function::new(c"mallinfo2");

/// The function that was found, cast to its type.
macro_rules! found {
    ($function:ident as fn($($arg:ty),*) $(-> $result:ty)?) => {{
        let address = $function.find();
        // SAFETY: the C library documents the function of this name with this type, and every other library that
        // defines the name promises that type. Null is `None`.
        unsafe { core::mem::transmute::<*mut c_void, Option<unsafe extern "C" fn($($arg),*) $(-> $result)?>>(address) }
    }};
}

/// A block from the arena, all zero, or null if the arena is used up.
fn from_arena(size: usize, align: usize) -> *mut u8 {
    let align = align.max(HEAD);
    let Some(bytes) = size.checked_next_multiple_of(HEAD).and_then(|n| n.checked_add(HEAD + align))
    else {
        return ptr::null_mut();
    };
    let room = |taken: usize| taken.checked_add(bytes).filter(|&end| end <= ARENA);
    // ORDERING: relaxed; it claims a part of the arena, and publishes nothing.
    let Ok(taken) = TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room) else {
        return ptr::null_mut();
    };
    let start = BYTES.0.get().cast::<u8>().wrapping_add(taken + HEAD);
    let block = start.wrapping_add(bytes_to_multiple(start.addr(), align));
    // SAFETY: the part that was taken has room for the block and what is before it.
    unsafe { block.wrapping_sub(HEAD).cast::<usize>().write(size) };
    block
}

/// The size of a block of the arena; `None` if the block is not from the arena.
fn arena_size(block: *mut u8) -> Option<usize> {
    if !is_from_arena(block.addr()) {
        return None;
    }
    // SAFETY: written by `from_arena`.
    Some(unsafe { block.wrapping_sub(HEAD).cast::<usize>().read() })
}

/// True if an address is a block of the arena, and so of no other allocator.
pub(crate) fn is_from_arena(address: usize) -> bool {
    let begin = BYTES.0.get().addr();
    (begin..begin + ARENA).contains(&address)
}

/// A block of `size` bytes at a multiple of `align`, a power of two, or null.
pub(crate) fn alloc(size: usize, align: usize) -> *mut u8 {
    if align > 16 {
        let Some(memalign) = found!(MEMALIGN as fn(usize, usize) -> *mut c_void) else {
            return from_arena(size, align);
        };
        // SAFETY: it takes any size, and a power of two.
        return unsafe { memalign(align, size) }.cast();
    }
    let Some(malloc) = found!(MALLOC as fn(usize) -> *mut c_void) else {
        return from_arena(size, align);
    };
    // SAFETY: it takes any size.
    unsafe { malloc(size) }.cast()
}

/// A block of `size` bytes at a multiple of `align`, a power of two, all zero, or null.
pub(crate) fn zeroed(size: usize, align: usize) -> *mut u8 {
    if align > 16 {
        let block = alloc(size, align);
        if !block.is_null() {
            // SAFETY: the block has that many bytes, and only this function has it.
            unsafe { block.write_bytes(0, size) };
        }
        return block;
    }
    let Some(calloc) = found!(CALLOC as fn(usize, usize) -> *mut c_void) else {
        return from_arena(size, align);
    };
    // SAFETY: it takes any numbers.
    unsafe { calloc(1, size) }.cast()
}

/// Gives a block back.
///
/// # Safety
/// The block is null, or the caller owns it, and this module or the next allocator handed it out.
pub(crate) unsafe fn free(block: *mut u8) {
    if arena_size(block).is_some() {
        return;
    }
    let Some(free) = found!(FREE as fn(*mut c_void)) else { return };
    // SAFETY: the caller's condition.
    unsafe { free(block.cast()) }
}

/// Changes a block's size. Null, and the old block intact, if that fails.
///
/// # Safety
/// The caller owns the block, which is not null; this module or the next allocator handed it out.
pub(crate) unsafe fn realloc(block: *mut u8, size: usize) -> *mut u8 {
    if let Some(old) = arena_size(block) {
        let moved = alloc(size, 16);
        if !moved.is_null() {
            // SAFETY: both blocks have as many bytes, and are different ones.
            unsafe { moved.copy_from_nonoverlapping(block, old.min(size)) };
        }
        return moved;
    }
    let Some(realloc) = found!(REALLOC as fn(*mut c_void, usize) -> *mut c_void) else {
        return ptr::null_mut();
    };
    // SAFETY: the caller's condition.
    unsafe { realloc(block.cast(), size) }.cast()
}

/// Bytes that a block has room for.
///
/// # Safety
/// The caller owns the block, which is not null; this module or the next allocator handed it out.
pub(crate) unsafe fn usable_size(block: *mut u8) -> usize {
    if let Some(size) = arena_size(block) {
        return size;
    }
    let Some(usable_size) = found!(USABLE_SIZE as fn(*mut c_void) -> usize) else {
        return 0;
    };
    // SAFETY: the caller's condition.
    unsafe { usable_size(block.cast()) }
}

/// Calls the next allocator's `malloc_trim`. True if it gave memory back.
pub(crate) fn trim() -> bool {
    let Some(trim) = found!(TRIM as fn(usize) -> core::ffi::c_int) else { return false };
    // SAFETY: it takes any number.
    unsafe { trim(0) != 0 }
}

/// The next allocator's `mallinfo2`: bytes mapped, bytes in use, large blocks, bytes of these, and free blocks.
pub(crate) fn usage() -> [usize; 5] {
    let Some(mallinfo2) = found!(MALLINFO2 as fn() -> libc::mallinfo2) else {
        return [0; 5];
    };
    // SAFETY: it takes nothing.
    let info = unsafe { mallinfo2() };
    [info.arena + info.hblkhd, info.uordblks + info.hblkhd, info.hblks, info.hblkhd, info.ordblks]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arena_hands_out_aligned_blocks_and_ends() {
        let (first, second) = (from_arena(10, 1), from_arena(100, 64));
        assert!(first.addr() % 16 == 0 && second.addr() % 64 == 0);
        assert_eq!((arena_size(first), arena_size(second)), (Some(10), Some(100)));
        // SAFETY: a block of the arena, and the caller's.
        let moved = unsafe { realloc(second, 50) };
        assert!(!moved.is_null() && arena_size(moved).is_none());
        // SAFETY: a block of the arena, and the caller's. The arena leaves it where it is.
        unsafe { free(first) };
        // SAFETY: the next allocator's.
        unsafe { free(moved) };
        assert!(from_arena(ARENA, 1).is_null() && from_arena(usize::MAX, 1).is_null());
    }
}
