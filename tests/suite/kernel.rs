//! A kernel that refuses memory: a filter stops each call for mappings, and this program decides on it.
//!
//! | call | refused, it means |
//! |---|---|
//! | `mmap`, `mremap` | no memory, or the process has as many mappings as it may have |
//! | `munmap` | as many mappings: a hole would make one more |
//! | `mprotect` | as many mappings, or no memory for the pages that are to have access |
//! | `madvise` | the pages are locked, or the kernel does not know the advice |
//!
//! A thread that starts inherits the filter. A thread that blocks signals must make no such call: the kernel would end
//! the process.

use core::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Which calls are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refuse {
    /// One, by its number.
    One,
    /// That call and all after it.
    AllAfter,
    /// That call and all after it, but `madvise`: the process has as many mappings as it may have.
    Mappings,
    /// Each `mprotect`: the kernel has no memory for more pages with access.
    Access,
    /// One `mprotect`, by its number.
    OneAccess,
}

/// Calls until one is refused; none if this is 0.
static UNTIL: AtomicU32 = AtomicU32::new(0);
static AND_ALL_AFTER: AtomicBool = AtomicBool::new(false);
static BUT_ADVICE: AtomicBool = AtomicBool::new(false);
static ONLY_ACCESS: AtomicBool = AtomicBool::new(false);
static REFUSED: AtomicU32 = AtomicU32::new(0);

/// The calls that the filter stops.
const STOPPED: [i64; 5] =
    [libc::SYS_mmap, libc::SYS_mremap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_madvise];

/// Refuses the call of this number from now on.
pub(crate) fn refuse(until: u32, which: Refuse) {
    // ORDERING: relaxed; the threads that read them start later, or are this one.
    let is_one = matches!(which, Refuse::One | Refuse::OneAccess);
    AND_ALL_AFTER.store(!is_one, Ordering::Relaxed);
    BUT_ADVICE.store(which == Refuse::Mappings, Ordering::Relaxed);
    let is_access = matches!(which, Refuse::Access | Refuse::OneAccess);
    ONLY_ACCESS.store(is_access, Ordering::Relaxed);
    REFUSED.store(0, Ordering::Relaxed);
    UNTIL.store(until, Ordering::Relaxed);
}

/// Refuses no more. Returns how many calls were refused.
pub(crate) fn relent() -> u32 {
    // ORDERING: relaxed; the threads that count have ended, or are this one.
    UNTIL.store(0, Ordering::Relaxed);
    REFUSED.load(Ordering::Relaxed)
}

/// True if this call is to be refused.
fn refused(number: i64) -> bool {
    let is_exempt = match number {
        libc::SYS_madvise => BUT_ADVICE.load(Ordering::Relaxed),
        _ => false,
    };
    if is_exempt || number != libc::SYS_mprotect && ONLY_ACCESS.load(Ordering::Relaxed) {
        return false;
    }
    let all_after = AND_ALL_AFTER.load(Ordering::Relaxed);
    let next = |left: u32| match left {
        0 => None,
        1 if all_after => Some(1),
        _ => Some(left - 1),
    };
    // ORDERING: relaxed; a count, which publishes nothing.
    let refuses = UNTIL.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) == Ok(1);
    REFUSED.fetch_add(u32::from(refuses), Ordering::Relaxed);
    refuses
}

/// The mark of a call that the filter lets pass: ours, in place of one that it stopped.
const OURS: usize = 0x5EC << 32;

/// Answers a call that the filter stopped: makes it, or refuses it.
extern "C" fn answer(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel hands this to a handler with `SA_SIGINFO`, and to no other code.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    let argument = |register: c_int| registers[register as usize] as usize;
    let number = argument(libc::REG_RAX);
    let answer = if refused(number as i64) {
        -i64::from(libc::ENOMEM)
    } else {
        let first = [argument(libc::REG_RDI), argument(libc::REG_RSI), argument(libc::REG_RDX)];
        let (fourth, fifth) = (argument(libc::REG_R10), argument(libc::REG_R8));
        // None of the calls looks at its sixth argument: a mapping of no file has no place in one.
        call([number, first[0], first[1], first[2], fourth, fifth, OURS])
    };
    registers[libc::REG_RAX as usize] = answer;
}

/// Makes a system call by its number and six arguments.
fn call(words: [usize; 7]) -> i64 {
    let answer: i64;
    // SAFETY: the thread that was stopped asked for this call, under its own conditions; the kernel changes these
    // registers alone.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") words[0] as i64 => answer,
            in("rdi") words[1],
            in("rsi") words[2],
            in("rdx") words[3],
            in("r10") words[4],
            in("r8") words[5],
            in("r9") words[6],
            out("rcx") _,
            out("r11") _,
        );
    };
    answer
}

fn step(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(k: usize, jt: u8, jf: u8) -> libc::sock_filter {
    let code = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    libc::sock_filter { code, jt, jf, k: k as u32 }
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const RESULT: u32 = libc::BPF_RET | libc::BPF_K;

/// A filter for these calls of this thread, and of the threads and processes that it starts.
fn filter(calls: &[i64], otherwise: &[libc::sock_filter]) {
    // A filter's input begins with the number.
    let mut filter = vec![step(LOAD, 0)];
    for (at, &number) in calls.iter().enumerate() {
        filter.push(jump(number as usize, (calls.len() - at) as u8, 0));
    }
    filter.push(step(RESULT, libc::SECCOMP_RET_ALLOW));
    filter.extend_from_slice(otherwise);
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: it takes numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the filter is a program of that length, which the kernel copies.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }, 0);
}

/// Tells the kernel to stop each of the calls of this thread, and to call [`answer`].
pub(crate) fn hold_up() {
    // SAFETY: all bytes zero is such a record: no flags, and no signal blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let answer: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = answer;
    action.sa_sigaction = answer as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    // SAFETY: the handler has the type that the flags say.
    let set = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    // The sixth argument's upper half ends a filter's input.
    let otherwise = [
        step(LOAD, 60),
        jump(OURS >> 32, 0, 1),
        step(RESULT, libc::SECCOMP_RET_ALLOW),
        step(RESULT, libc::SECCOMP_RET_TRAP),
    ];
    filter(&STOPPED, &otherwise);
}

/// Tells the kernel to refuse these calls for good, with `ENOMEM`.
pub(crate) fn refuse_always(calls: &[i64]) {
    filter(calls, &[step(RESULT, libc::SECCOMP_RET_ERRNO | libc::ENOMEM as u32)]);
}
