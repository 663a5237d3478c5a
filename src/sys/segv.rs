//! A handler of SIGSEGV that passes on what it does not know to the handler that was there before.
//!
//! | the action before | a fault that is not ours |
//! |---|---|
//! | a function | the function is called, as the kernel would |
//! | the default | the default is set again, and the fault comes again, and ends the process |
//! | ignored | as for the default if it is a fault; a signal that a process sent is ignored |
//!
//! A program that installs a handler later replaces this one, and gets all faults.
//!
//! Never: allocates, or takes a lock.

use super::atomic::AtomicU32;
use super::installed::Installed;
use super::{errno, kernel, thread};
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::{self, MaybeUninit};
use core::ptr;

/// What the kernel says of a fault.
#[derive(Clone, Copy)]
pub(crate) struct Fault {
    /// The address that was accessed.
    pub(crate) address: usize,
    pub(crate) is_write: bool,
    /// The address of the instruction.
    pub(crate) code: usize,
    /// The thread's stack pointer.
    pub(crate) stack: usize,
}

/// Answers for a fault. True if it was one of ours, and the process is to end by it.
pub(crate) type Answer = fn(Fault) -> bool;

/// The kernel's codes of faults that have an address: `SEGV_MAPERR` and `SEGV_ACCERR`.
const NOT_MAPPED: c_int = 1;
const NO_ACCESS: c_int = 2;
/// The error code's bit for a write.
const WRITES: i64 = 1 << 1;

/// The action before ours, and our answer.
struct Chain(UnsafeCell<MaybeUninit<(libc::sigaction, Answer)>>);

// SAFETY: written once, before the handler is installed, and only read afterwards.
unsafe impl Sync for Chain {}

static CHAIN: Chain = Chain(UnsafeCell::new(MaybeUninit::uninit()));

/// Whether the handler is installed.
static STATE: Installed = Installed::over(AtomicU32::new(0));

/// Installs the handler, unless it was installed before. False if the kernel refuses, or another thread is at it.
pub(crate) fn install(answer: Answer) -> bool {
    errno::kept(|| STATE.install(|| install_anyhow(answer)))
}

fn install_anyhow(answer: Answer) -> bool {
    let Some(before) = action() else { return false };
    // SAFETY: one thread at a time comes here (IS1), and the handler is not installed yet.
    unsafe { CHAIN.0.get().write(MaybeUninit::new((before, answer))) };
    let mut ours = before;
    ours.sa_sigaction = handle as extern "C" fn(_, _, _) as usize;
    // An alternate stack, if the thread has one: its own may be the reason for the fault.
    let kept = before.sa_flags & (libc::SA_RESTART | libc::SA_NODEFER);
    ours.sa_flags = kept | libc::SA_SIGINFO | libc::SA_ONSTACK;
    set(&ours)
}

/// Installs the action from before again, if the handler is still this one. The code may be unloaded afterwards.
pub(crate) fn remove() {
    if STATE.is_installed() && is_ours() {
        set(&chain().0);
        STATE.note_removed();
    }
}

/// True if the process's handler is the one of this file.
fn is_ours() -> bool {
    action().is_some_and(|now| now.sa_sigaction == handle as extern "C" fn(_, _, _) as usize)
}

/// The process's action for the signal.
fn action() -> Option<libc::sigaction> {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: it has room for what is written there.
    if unsafe { libc::sigaction(libc::SIGSEGV, ptr::null(), now.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: written, since the call did not fail.
    Some(unsafe { now.assume_init() })
}

fn set(action: &libc::sigaction) -> bool {
    // SAFETY: the action is the program's own, our handler, or the default.
    unsafe { libc::sigaction(libc::SIGSEGV, action, ptr::null_mut()) == 0 }
}

/// The action before ours, and our answer. The handler is, or was, installed.
fn chain() -> &'static (libc::sigaction, Answer) {
    // SAFETY: no code writes to it any more, since the handler was installed.
    let chain = unsafe { &*CHAIN.0.get() };
    // SAFETY: written before the handler was installed.
    unsafe { chain.assume_init_ref() }
}

/// Makes the default action the process's, so that the fault ends it when it comes again.
fn set_default() {
    // SAFETY: all bytes zero is the default action, without flags and with an empty mask.
    set(&unsafe { mem::zeroed() });
}

extern "C" fn handle(signal: c_int, about: *mut libc::siginfo_t, context: *mut c_void) {
    errno::kept(|| {
        // SAFETY: the kernel hands over what it says of the signal.
        let number = unsafe { (*about).si_code };
        let is_fault = number == NOT_MAPPED || number == NO_ACCESS;
        let answer = chain().1;
        // SAFETY: the kernel's arguments.
        if is_fault && answer(unsafe { read(about, context) }) {
            return set_default();
        }
        // SAFETY: the kernel's arguments.
        unsafe { pass_on(signal, about, context) };
    });
}

/// # Safety
/// The arguments are those of a handler of SIGSEGV.
unsafe fn read(about: *const libc::siginfo_t, context: *const c_void) -> Fault {
    // SAFETY: the caller's condition: the third argument of a handler with SA_SIGINFO is of this type.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    // SAFETY: the caller's condition.
    let about = unsafe { &*about };
    // SAFETY: the signal is of a fault, which has an address.
    let address = unsafe { about.si_addr() }.addr();
    Fault {
        address,
        is_write: registers[libc::REG_ERR as usize] & WRITES != 0,
        code: registers[libc::REG_RIP as usize] as usize,
        stack: registers[libc::REG_RSP as usize] as usize,
    }
}

/// # Safety
/// The arguments are those of a handler of SIGSEGV.
unsafe fn pass_on(signal: c_int, about: *mut libc::siginfo_t, context: *mut c_void) {
    type Full = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
    let before = &chain().0;
    // SAFETY: the caller's condition. A process that sends a signal gives it a number that is not positive.
    let is_sent = unsafe { (*about).si_code } <= 0;
    match before.sa_sigaction {
        libc::SIG_IGN if is_sent => {}
        libc::SIG_IGN | libc::SIG_DFL => {
            set_default();
            if is_sent {
                let whom = [thread::process(), thread::id(), signal as u32];
                let [process, thread, signal] = whom.map(|number| number as usize);
                // SAFETY: a signal to this thread, which takes it when the handler returns.
                let _ =
                    unsafe { kernel::call(libc::SYS_tgkill, [process, thread, signal, 0, 0, 0]) };
            }
        }
        function => {
            let function = ptr::with_exposed_provenance::<c_void>(function);
            if before.sa_flags & libc::SA_RESETHAND != 0 {
                set_default();
            }
            // A handler that takes one argument ignores the others.
            // SAFETY: the program installed this function for the signal.
            let function = unsafe { mem::transmute::<*const c_void, Full>(function) };
            function(signal, about, context);
        }
    }
}
