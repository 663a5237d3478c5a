//! Notice of a thread's end.
//!
//! A pthread key, not a Rust destructor: with glibc, Rust's thread-local destructors run before
//! pthread's, so they may still allocate and free through a heap that is whole. Where they run later,
//! they find the heap gone, which is served too.

use super::atomic::{AtomicU32, Ordering};
use core::arch::asm;
use core::ffi::{c_long, c_void};

/// Lets other threads run first.
pub(crate) fn give_way() {
    // SAFETY: it takes nothing, and on Linux does not fail.
    unsafe { libc::sched_yield() };
}

/// The kernel's number of this thread.
pub(crate) fn id() -> u32 {
    number(libc::SYS_gettid)
}

/// The kernel's number of this process.
pub(crate) fn process() -> u32 {
    number(libc::SYS_getpid)
}

/// What the kernel answers to a question for a number. Not by the C library's functions: other libraries put their own
/// before them, which may allocate, and so ask again.
fn number(question: c_long) -> u32 {
    let answer: c_long;
    // SAFETY: the questions above take nothing, change nothing and do not fail; the kernel leaves all but these three
    // registers as they were.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") question => answer,
            out("rcx") _,
            out("r11") _,
            options(nostack, nomem),
        );
    };
    answer as u32
}

/// The C library's number of this thread, not 0, which the only thread of a child has from the one that forked.
pub(crate) fn handle() -> usize {
    // SAFETY: it takes nothing, and does not fail.
    unsafe { libc::pthread_self() as usize }
}

/// Calls a function at the end of every thread that armed it.
pub(crate) struct ExitHook {
    /// The pthread key plus one; 0 before the first thread armed the hook. [const] once set
    key: AtomicU32,
}

impl ExitHook {
    pub(crate) const fn new() -> Self {
        Self { key: AtomicU32::new(0) }
    }

    /// Has `callback(value)` run when this thread ends; false if the system has no room for that.
    ///
    /// Every call on one hook passes the same `callback`; `value` is not null.
    pub(crate) fn arm(
        &self,
        callback: unsafe extern "C" fn(*mut c_void),
        value: *const c_void,
    ) -> bool {
        let Some(key) = self.key(callback) else { return false };
        // SAFETY: `key` was created by this hook and is never deleted once it is published.
        unsafe { libc::pthread_setspecific(key, value) == 0 }
    }

    /// The key, created by the first thread that asks; the loser of a race deletes its own.
    fn key(&self, callback: unsafe extern "C" fn(*mut c_void)) -> Option<libc::pthread_key_t> {
        // ORDERING: acquire, paired with the release below: what the C library wrote when it created
        // the key comes before this thread's use of it.
        let known = self.key.load(Ordering::Acquire);
        if known != 0 {
            return Some(known - 1);
        }
        let mut fresh: libc::pthread_key_t = 0;
        // SAFETY: `fresh` is writable, and `callback` is a function that lives forever.
        if unsafe { libc::pthread_key_create(&raw mut fresh, Some(callback)) } != 0 {
            return None;
        }
        // ORDERING: release on success and acquire on failure, as above.
        match self.key.compare_exchange(0, fresh + 1, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Some(fresh),
            Err(winner) => {
                // SAFETY: `fresh` was created above, and no thread has set a value for it.
                unsafe { libc::pthread_key_delete(fresh) };
                Some(winner - 1)
            }
        }
    }
}
