//! The program's own allocator. For workloads that allocate through the program it is the variant that the command line
//! names. For all others it is the system's malloc, so the program's own tables are no cost of the variant.
//!
//! One program serves all variants, since a build of each would take minutes. The choice costs every variant an equal
//! number of instructions per call, and the folding of constant sizes. `cargo ci bench --peers` runs programs with one
//! allocator and no choice.

use hakmem::Observe;
use hakmem_workloads::Workload;
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{CStr, c_char, c_int};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Chosen;

/// A [`Choice`].
static CHOICE: AtomicUsize = AtomicUsize::new(Choice::System as usize);

/// Runs before `main`, and so before the program's first allocation: a block must be freed by its own allocator.
#[used]
#[unsafe(link_section = ".init_array")]
static CHOOSE: extern "C" fn(c_int, *const *const c_char) = choose;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
compile_error!("only the GNU C library passes the command line to initialisers");

/// True if the program's allocator is this variant.
pub(crate) fn is(id: &str) -> bool {
    // ORDERING: relaxed; it was written before `main`.
    CHOICE.load(Ordering::Relaxed) == place_of(id)
}

extern "C" fn choose(count: c_int, words: *const *const c_char) {
    let word = |index: usize| {
        if index >= count as usize {
            return None;
        }
        // SAFETY: the GNU C library passes `main`'s arguments to initialisers: `count` pointers.
        let word = unsafe { *words.wrapping_add(index) };
        // SAFETY: each is a string that ends with a zero and lives as long as the program.
        unsafe { CStr::from_ptr(word) }.to_str().ok()
    };
    if (1..count as usize).any(|index| word(index) == Some("--still")) {
        // Before the first allocation, for the workloads whose allocator is the program's.
        hakmem::Hakmem::set_clock(0);
    }
    let (Some(variant), Some(workload)) = (word(1), word(2)) else { return };
    let is_of_program = workload.parse().is_ok_and(Workload::is_of_program);
    if is_of_program || workload == "count_program" {
        // ORDERING: relaxed; there is one thread yet.
        CHOICE.store(place_of(variant), Ordering::Relaxed);
    }
}

macro_rules! choices {
    ($($variant:ident $id:literal,)*) => {
        /// The program's allocator, as a number.
        enum Choice {
            System,
            $($variant),*
        }

        fn place_of(id: &str) -> usize {
            match id {
                $($id => Choice::$variant as usize,)*
                _ => Choice::System as usize,
            }
        }

        /// Calls a method of the chosen allocator.
        macro_rules! chosen {
            ($method:ident $args:tt) => {{
                // ORDERING: relaxed; it is written before there is a second thread.
                let choice = CHOICE.load(Ordering::Relaxed);
                $(if choice == Choice::$variant as usize {
                    // SAFETY: the caller's conditions; and a block goes back to its own allocator, since the choice is
                    // made before the first block.
                    return unsafe { hakmem::$variant.$method $args };
                })*
                // SAFETY: the caller's conditions; and a block goes back to its own allocator, since the choice is made
                // before the first block.
                unsafe { System.$method $args }
            }};
        }
    };
}
hakmem::for_each_variant!(choices);

// SAFETY: all methods are those of one allocator, for the whole life of the program.
unsafe impl GlobalAlloc for Chosen {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        chosen!(alloc(layout))
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        chosen!(alloc_zeroed(layout))
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        chosen!(dealloc(block, layout));
    }
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        chosen!(realloc(block, layout, new_size))
    }
}
