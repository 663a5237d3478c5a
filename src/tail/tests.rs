//! Tests of the tails.

use super::*;
use crate::sys::atomic::{AtomicPtr, AtomicU32};
use crate::sys::secret::choose;
use core::ptr;

fn tailed(memory: &mut [u128]) -> Tailed {
    let bytes = size_of_val(memory);
    // SAFETY: so many bytes, aligned to 16, that only the calling test uses.
    unsafe { Tailed::new(NonNull::from(memory).cast(), bytes) }
}

fn byte(block: Tailed, at: usize) -> *mut u8 {
    block.start.as_ptr().wrapping_add(at)
}

/// Checks TL1 and TL3.
#[test]
fn every_size_is_told_and_each_byte_behind_it_is_guarded() {
    choose();
    for count in [1, 2, 3, 20] {
        let mut memory = vec![u128::MAX; count];
        let block = tailed(&mut memory);
        assert_eq!(block.told(Compared::Much), Told::Unknown);
        let room = 16 * count - TAIL_BYTES;
        for size in 0..=room {
            block.wipe_all();
            block.set_in_use(size);
            assert_eq!(block.told(Compared::Much), Told::InUse(size), "{count} {size}");
            // SAFETY: a byte of the block.
            let next = unsafe { byte(block, size).read() };
            assert_ne!(next, 0, "a string's end would not be noticed");
            for (at, new) in (size..16 * count).flat_map(|at| [(at, 0x41), (at, 0)]) {
                // SAFETY: a byte of the block.
                let old = unsafe { byte(block, at).read() };
                // SAFETY: the same byte.
                unsafe { byte(block, at).write(new) };
                let is_seen = |compared| !matches!(block.told(compared), Told::InUse(_));
                let is_far = at >= size + 8 + MUCH && at < room - 8;
                assert_eq!(is_seen(Compared::Much), old != new && !is_far, "{size} {at}");
                let is_near = at < size + 8 || at >= room;
                assert_eq!(is_seen(Compared::First), old != new && is_near, "{size} {at}");
                let is_long = size + 16 < room;
                assert_eq!(is_seen(Compared::Short), old != new || is_long, "{size} {at}");
                // SAFETY: the same byte.
                unsafe { byte(block, at).write(old) };
            }
            assert_eq!(block.told(Compared::Much), Told::InUse(size));
        }
        block.set_freed();
        assert_eq!(block.told(Compared::Much), Told::Freed);
    }
}

/// Checks TL2.
#[test]
fn a_blank_block_holds_nothing() {
    for count in 1..40 {
        let mut memory = vec![0_u128; count];
        let block = tailed(&mut memory);
        assert!(block.is_blank() && block.has_blank_node());
        for at in 0..16 * count {
            // SAFETY: a byte of the block.
            unsafe { byte(block, at).write(1) };
            assert!(!block.is_blank(), "{count} {at}");
            assert_eq!(block.has_blank_node(), at >= 16, "{at}");
            // SAFETY: the same byte.
            unsafe { byte(block, at).write(0) };
        }
        block.set_in_use(8);
        block.wipe_node();
        assert!(block.has_blank_node() && block.is_blank() == (count == 1));
        block.set_freed();
        assert!(block.is_blank());
    }
}

#[test]
fn a_tail_is_of_one_block_and_one_process() {
    choose();
    let mut memory = [0_u128; 4];
    let (first, second) = memory.split_at_mut(2);
    let (first, second) = (tailed(first), tailed(second));
    first.set_in_use(20);
    second.set_in_use(20);
    assert_ne!(first.tail(), second.tail());
    second.write(first.tail());
    assert_eq!(second.told(Compared::Much), Told::Unknown);
}

/// Checks TL5: a signal's handler looks at a block while the thread changes it.
#[test]
fn a_signal_finds_no_block_in_use_with_a_wrong_slack() {
    static BLOCK: AtomicPtr<u128> = AtomicPtr::new(ptr::null_mut());
    static WRONG: AtomicU32 = AtomicU32::new(0);
    static SIGNALS: AtomicU32 = AtomicU32::new(0);
    const COUNT: usize = 64;
    extern "C" fn look(_signal: libc::c_int) {
        let start = NonNull::new(BLOCK.load(Ordering::Relaxed)).expect("stored before");
        // SAFETY: the block of this test, of that many bytes. Its thread is interrupted.
        let block = unsafe { Tailed::new(start.cast(), 16 * COUNT) };
        let is_right = matches!(block.told(Compared::Much), Told::InUse(_) | Told::Freed);
        WRONG.fetch_add(u32::from(!is_right), Ordering::Relaxed);
        SIGNALS.fetch_add(1, Ordering::Relaxed);
    }
    choose();
    let mut memory = vec![0_u128; COUNT];
    BLOCK.store(memory.as_mut_ptr(), Ordering::Relaxed);
    let handler: extern "C" fn(libc::c_int) = look;
    // SAFETY: the handler only reads memory that stays.
    unsafe { libc::signal(libc::SIGUSR2, handler as libc::sighandler_t) };
    // SAFETY: it returns this thread's handle.
    let me = unsafe { libc::pthread_self() };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while SIGNALS.load(Ordering::Relaxed) < 200 {
                // SAFETY: the thread waits for this one, and so lives.
                unsafe { libc::pthread_kill(me, libc::SIGUSR2) };
                std::thread::yield_now();
            }
        });
        let block = tailed(&mut memory);
        while SIGNALS.load(Ordering::Relaxed) < 200 {
            block.set_in_use(500);
            block.resize(500, 900);
            block.resize(900, 20);
            block.wipe_all();
        }
    });
    assert_eq!(WRONG.load(Ordering::Relaxed), 0);
}

/// Checks TL4.
#[test]
fn a_byte_before_a_block_is_guarded() {
    choose();
    let mut memory = [0_u128; 8];
    let start = NonNull::from(&mut memory).cast::<u8>();
    // SAFETY: half of the memory, aligned to 16, which only this test uses.
    let first = unsafe { Tailed::new(start, 64) };
    // SAFETY: inside the memory.
    let middle = unsafe { start.add(64) };
    // SAFETY: the other half.
    let second = unsafe { Tailed::new(middle, 64) };
    // SAFETY: the other block lies in front, and has as many bytes.
    let is_sound = || unsafe { second.is_behind_a_tail() };
    assert!(is_sound());
    for size in [0, 50, 56] {
        first.set_in_use(size);
        assert!(is_sound());
        for at in 56..64 {
            // SAFETY: a byte of the tail.
            let old = unsafe { byte(first, at).read() };
            // SAFETY: the same byte.
            unsafe { byte(first, at).write(old ^ 0x41) };
            assert!(!is_sound(), "{size} {at}");
            // SAFETY: the same byte.
            unsafe { byte(first, at).write(old) };
        }
        first.wipe_all();
    }
    assert!(is_sound());
}

#[test]
fn a_wiped_block_is_zero_and_no_other_is() {
    for count in 1..40 {
        let mut memory = vec![u128::MAX; count + 2];
        tailed(&mut memory[1..=count]).wipe_all();
        assert_eq!((memory[0], memory[count + 1]), (u128::MAX, u128::MAX));
        assert!(memory[1..=count].iter().all(|&word| word == 0), "{count}");
    }
}
