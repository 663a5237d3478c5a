//! Threads: their numbers, their start, and a hook that runs at their end.
//!
//! The hook uses a pthread key. With glibc, Rust's thread-local destructors run before those of pthread keys, so they
//! can still allocate and free through an open cache. If they run later, they find the cache closed, which also works.

use super::atomic::AtomicU32;
use super::key::KeyPlace;
use super::weak::weak;
use super::{errno, kernel};
#[cfg(not(miri))]
use core::arch::asm;
use core::ffi::{CStr, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;

/// Lets other threads run first.
pub(crate) fn give_way() {
    // SAFETY: it takes nothing, and on Linux does not fail.
    unsafe { libc::sched_yield() };
}

/// The kernel's number of this thread.
pub(crate) fn id() -> u32 {
    kernel::number(libc::SYS_gettid)
}

/// The kernel's number of this process.
pub(crate) fn process() -> u32 {
    kernel::number(libc::SYS_getpid)
}

/// True if the process has never had another thread. False where that is not known.
pub(crate) fn is_alone() -> bool {
    // glibc has this number since 2.32. Sandboxes would not let every program ask the kernel.
    let alone = weak!("__libc_single_threaded").cast::<u8>();
    // SAFETY: null, or a number that the C library has, and that no other thread changes as long as it is not 0.
    unsafe { alone.as_ref() }.is_some_and(|&alone| alone != 0)
}

/// The C library's number of this thread, which is not 0. The only thread of a child inherits it from the forking
/// thread.
#[cfg(not(miri))]
pub(crate) fn handle() -> usize {
    let handle: usize;
    // Locks are held here, so it must not call `pthread_self`, which another library may replace.
    // SAFETY: on x86-64 the first word of a thread's control block is its own address, which is the C library's number
    // of the thread.
    unsafe {
        asm!(
            "mov {}, qword ptr fs:[0]",
            out(reg) handle,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    handle
}

/// The substitute under Miri, which runs no assembly.
#[cfg(miri)]
pub(crate) fn handle() -> usize {
    // SAFETY: it takes nothing, and does not fail.
    unsafe { libc::pthread_self() as usize }
}

/// Bytes of the background thread's stack. Its calls are shallow, but thread-local storage lies on the stack, too.
const STACK: usize = 256 << 10;

/// Starts a thread that handles no signal, and returns its handle for [`join`]. `None` if the system has no room. The C
/// library allocates for the thread.
pub(crate) fn start(run: extern "C" fn(*mut c_void) -> *mut c_void) -> Option<usize> {
    errno::kept(|| start_anyhow(run))
}

fn start_anyhow(run: extern "C" fn(*mut c_void) -> *mut c_void) -> Option<usize> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: it has room for what is written there.
    if unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: initialised above. If the C library refuses the size, it keeps its default.
    unsafe { libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), STACK) };
    // All signals but two: the C library sends those to all threads, to change their identity or to cancel them.
    let all = [!(0b11_u64 << 31)];
    let mut before = [0_u64];
    let bytes = size_of::<u64>();
    let set = |mask: *const u64, old: *mut u64| {
        let arguments = [
            libc::SIG_SETMASK as usize,
            mask.expose_provenance(),
            old.expose_provenance(),
            bytes,
            0,
            0,
        ];
        // SAFETY: the kernel reads the mask, and writes the old one where there is room, of that many bytes each.
        let _ = unsafe { kernel::call(libc::SYS_rt_sigprocmask, arguments) };
    };
    // A thread inherits the blocked signals of the thread that starts it.
    set(all.as_ptr(), before.as_mut_ptr());
    let mut handle: libc::pthread_t = 0;
    // SAFETY: the attributes are initialised, the handle has room, and the function lives until the thread is joined.
    let result =
        unsafe { libc::pthread_create(&raw mut handle, attributes.as_ptr(), run, ptr::null_mut()) };
    set(before.as_ptr(), ptr::null_mut());
    // SAFETY: initialised above, and used no more.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    (result == 0).then_some(handle as usize)
}

/// Waits for the end of a thread that [`start`] started.
pub(crate) fn join(handle: usize) {
    // SAFETY: the handle of a thread that `start` started, which is joined once.
    unsafe { libc::pthread_join(handle as libc::pthread_t, ptr::null_mut()) };
}

/// Names this thread, for tools such as `top`.
pub(crate) fn set_name(name: &CStr) {
    let arguments = [libc::PR_SET_NAME as usize, name.as_ptr().expose_provenance(), 0, 0, 0, 0];
    // SAFETY: the kernel reads the string.
    let _ = unsafe { kernel::call(libc::SYS_prctl, arguments) };
}

/// An action at the end of a thread.
pub(crate) trait AtExit {
    /// The value that the thread armed the hook with.
    type Value: 'static;

    /// Runs in the thread that ends, after Rust's thread-local destructors.
    fn run(value: &'static Self::Value);
}

/// Runs `E` at the end of every thread that armed it.
pub(crate) struct ExitHook<E> {
    key: KeyPlace,
    at_exit: PhantomData<fn(E)>,
}

impl<E: AtExit> ExitHook<E> {
    pub(crate) const fn new() -> Self {
        Self { key: KeyPlace::over(AtomicU32::new(0)), at_exit: PhantomData }
    }

    /// Arms the hook for this thread: `E` runs with `value` when the thread ends. False if the system has no
    /// room for that.
    pub(crate) fn arm(&self, value: &'static E::Value) -> bool {
        let Some(key) = self.key() else { return false };
        // SAFETY: `key` was created by this hook. Only `disarm` deletes it, when no thread arms the hook any more.
        unsafe { libc::pthread_setspecific(key, ptr::from_ref(value).cast()) == 0 }
    }

    /// Disarms the hook for this thread.
    pub(crate) fn forget(&self) {
        if let Some(key) = self.key() {
            // SAFETY: `key` was created by this hook. Only `disarm` deletes it, when no thread uses the hook any more.
            unsafe { libc::pthread_setspecific(key, ptr::null()) };
        }
    }

    /// The key of this hook, created by the first thread that asks.
    fn key(&self) -> Option<libc::pthread_key_t> {
        let create = || {
            let mut fresh: libc::pthread_key_t = 0;
            // SAFETY: `fresh` is writable, and the callback is a function that lives forever. The key is this hook's
            // alone: every value under it comes from `arm`, and the C library hands it back to the thread that set it.
            let result = unsafe { libc::pthread_key_create(&raw mut fresh, Some(call::<E>)) };
            (result == 0).then_some(fresh)
        };
        // SAFETY: this thread created the key, and no thread has set a value for it, since it lost (EK2).
        self.key.get(create, |key| _ = unsafe { libc::pthread_key_delete(key) })
    }

    /// Disarms the hook for all threads. No thread runs `E` now, and none arms the hook again.
    pub(crate) fn disarm(&self) {
        if let Some(key) = self.key.disarm() {
            // SAFETY: created by this hook for itself alone. No other call deletes it (EK2).
            unsafe { libc::pthread_key_delete(key) };
        }
    }
}

/// The destructor that the C library calls at a thread's end.
///
/// # Safety
/// The calling thread armed a hook of `E` with `value`.
unsafe extern "C" fn call<E: AtExit>(value: *mut c_void) {
    // SAFETY: it was made from a `&'static E::Value`, and this is the thread that had it, by the caller's condition.
    E::run(unsafe { &*value.cast::<E::Value>() });
}
