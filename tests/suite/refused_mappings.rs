//! Every call to the kernel for memory is refused in turn, and nothing is lost.
//!
//! A kernel filter stops each `mmap` and `mremap` of the allocating thread, and asks this program. The program counts
//! the calls, and refuses the one that a case names, alone or with all after it.

use crate::testbed::{apex, child};
use core::ffi::{c_int, c_void};
use std::alloc::Layout;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Calls until one is refused; none if this is 0 or below.
static UNTIL: AtomicU32 = AtomicU32::new(0);
static AND_ALL_AFTER: AtomicBool = AtomicBool::new(false);

/// True if this call is to be refused.
fn refused() -> bool {
    // ORDERING: relaxed; one thread allocates while it counts.
    let left = UNTIL.load(Ordering::Relaxed);
    if left == 0 {
        return false;
    }
    let stays = left == 1 && AND_ALL_AFTER.load(Ordering::Relaxed);
    UNTIL.store(if stays { 1 } else { left - 1 }, Ordering::Relaxed);
    left == 1
}

/// The mark of a call that the filter lets pass: ours, in place of one that it stopped.
const OURS: usize = 0x5EC << 32;

/// Answers a call that the filter stopped: makes it, or refuses it.
extern "C" fn answer(_signal: c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let context = context.cast::<libc::ucontext_t>();
    // SAFETY: the kernel hands this to a handler with `SA_SIGINFO`, and to no other code.
    let registers = unsafe { &mut (*context).uc_mcontext.gregs };
    let argument = |register: c_int| registers[register as usize] as usize;
    let answer = if refused() {
        -i64::from(libc::ENOMEM)
    } else {
        let number = argument(libc::REG_RAX);
        let first = [argument(libc::REG_RDI), argument(libc::REG_RSI), argument(libc::REG_RDX)];
        let (fourth, fifth) = (argument(libc::REG_R10), argument(libc::REG_R8));
        // Neither call looks at its sixth argument: a mapping of no file has no place in one.
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

/// Tells the kernel to stop every `mmap` and `mremap` of this thread, and to call [`answer`].
fn hold_up() {
    // SAFETY: all bytes zero is such a record: no flags, and no signal blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let answer: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = answer;
    action.sa_sigaction = answer as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    // SAFETY: the handler has the type that the flags say.
    let set = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    assert_eq!(set, 0);
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let jump = |k: usize, jt: u8, jf: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt,
        jf,
        k: k as u32,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let result = libc::BPF_RET | libc::BPF_K;
    // A filter's input begins with the number, and ends with the sixth argument's upper half.
    let mut filter = [
        step(load, 0),
        jump(libc::SYS_mmap as usize, 1, 0),
        jump(libc::SYS_mremap as usize, 0, 2),
        step(load, 60),
        jump(OURS >> 32, 0, 1),
        step(result, libc::SECCOMP_RET_ALLOW),
        step(result, libc::SECCOMP_RET_TRAP),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: it takes numbers.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the filter is a program of that length, which the kernel copies.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) }, 0);
}

const SIZES: [usize; 12] =
    [16, 100, 1000, 5000, 30_000, 40_000, 70_000, 200_000, 600_000, 1 << 20, 3 << 20, 9 << 20];

/// Blocks of all sizes, grown and shrunk, each checked; returns how many requests got null.
fn live_a_little() -> u32 {
    let allocator = apex().allocator;
    let mut nulls = 0;
    let mut blocks = Vec::with_capacity(SIZES.len() * 3);
    for size in SIZES.into_iter().cycle().take(SIZES.len() * 3) {
        let layout = Layout::from_size_align(size, 16).expect("a layout");
        // SAFETY: the size is not 0.
        let block = unsafe { allocator.alloc_zeroed(layout) };
        if block.is_null() {
            nulls += 1;
            continue;
        }
        // SAFETY: the block has `size` bytes, all zero.
        let bytes = unsafe { std::slice::from_raw_parts_mut(block, size) };
        assert!(bytes.iter().all(|&byte| byte == 0), "{size} bytes are not zero");
        bytes.fill(size as u8 | 1);
        blocks.push((block, layout));
    }
    for (block, layout) in &mut blocks {
        let old = layout.size();
        for new in [old * 2, old / 3 + 1, old + 5000] {
            // SAFETY: the block is live, with this layout.
            let moved = unsafe { allocator.realloc(*block, *layout, new) };
            if moved.is_null() {
                nulls += 1;
            } else {
                *block = moved;
                *layout = Layout::from_size_align(new, 16).expect("a layout");
            }
            let kept = layout.size().min(old / 3 + 1);
            // SAFETY: the block has that many bytes, wherever it is now.
            let bytes = unsafe { std::slice::from_raw_parts(*block, kept) };
            assert!(bytes.iter().all(|&byte| byte == old as u8 | 1), "content of {old} bytes");
        }
    }
    for (block, layout) in blocks {
        // SAFETY: live, with this layout.
        unsafe { allocator.dealloc(block, layout) };
    }
    nulls
}

/// The case of a child: refuses the call of this number, alone or with all after it.
pub(crate) fn run(until: &str, after: &str) {
    let (until, all) = (until.parse().expect("a number"), after == "all");
    let thread = std::thread::spawn(move || {
        // ORDERING: relaxed; read by this thread.
        AND_ALL_AFTER.store(all, Ordering::Relaxed);
        hold_up();
        UNTIL.store(until, Ordering::Relaxed);
        let nulls = live_a_little();
        let reached = UNTIL.swap(0, Ordering::Relaxed) <= 1;
        // Memory is back: nothing was lost, and the heap works as before.
        assert_eq!(live_a_little(), 0);
        println!("nulls {nulls} reached {reached}");
    });
    thread.join().expect("no panic");
    assert_eq!(apex().audit().live(), 0);
}

#[test]
fn each_in_turn() {
    for after in ["one", "all"] {
        let mut refused = 0;
        for until in 1.. {
            let output = child(&["refused_mappings", &until.to_string(), after]);
            let stdout = String::from_utf8_lossy(&output.stdout);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "call {until} and {after}: {stderr}");
            if stdout.contains("reached false") {
                break;
            }
            refused += u32::from(!stdout.contains("nulls 0"));
        }
        // A single refusal has no effect where the allocator gives up waiting memory and tries again.
        let felt = after == "one" || refused > 3;
        assert!(felt, "only {refused} refusals were felt: are the calls counted?");
    }
}
