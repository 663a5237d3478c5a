//! One fault, or none, for a tool to find. With feature `valgrind` memcheck finds each:
//!
//! ```text
//! cargo build --example faults --features valgrind
//! valgrind --leak-check=full target/debug/examples/faults leak
//! ```
//!
//! With feature `asan` the address sanitizer finds all but leaks and undefined bytes.
//!
//! With `none` no tool may find anything, so it checks WB1 and WB3; the other faults check WB2.

use std::alloc::{Layout, alloc, dealloc, realloc};
use std::hint::black_box;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: hakmem::Hakmem = hakmem::Hakmem;

/// Sizes of every kind: of the classes, a span, and a huge block.
const SIZES: [usize; 4] = [24, 1000, 100_000, 3_000_000];

fn main() -> ExitCode {
    let fault = std::env::args().nth(1).unwrap_or_default();
    let size = std::env::args().nth(2).and_then(|size| size.parse().ok()).unwrap_or(24);
    let layout = Layout::from_size_align(size, 8).expect("a size");
    match fault.as_str() {
        "none" => SIZES.iter().for_each(|&size| use_it(size)),
        "leak" => (0..10).for_each(|_| leak(layout)),
        fault => {
            let block = filled(layout);
            match fault {
                "after-free" => read(freed(block, layout)),
                "after-realloc" => {
                    // SAFETY: the block is live, with this layout.
                    black_box(unsafe { realloc(block, layout, size + 1) });
                    read(block);
                }
                "overflow" => write(block.wrapping_add(size)),
                "underflow" => write(block.wrapping_sub(1)),
                "double-free" => drop(freed(freed(block, layout), layout)),
                "undefined" => {
                    // SAFETY: the size is above 0.
                    let fresh = black_box(unsafe { alloc(layout) });
                    // SAFETY: a fault, which the tool finds: the byte is undefined.
                    println!("{}", unsafe { fresh.read_volatile() } == 1);
                }
                _ => {
                    eprintln!(
                        "the argument is none, leak, after-free, after-realloc, overflow, underflow, double-free or undefined"
                    );
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    ExitCode::SUCCESS
}

/// Works with vectors of such sizes, as a program does that has no fault.
fn use_it(size: usize) {
    let mut vectors: Vec<Vec<u8>> = (0..50).map(|n| vec![n; size]).collect();
    vectors.retain(|vector| vector[0] % 2 == 0);
    vectors.iter_mut().for_each(|vector| vector.resize(2 * size, 7));
    let zeroed = vec![0_u8; size];
    let thread =
        std::thread::spawn(move || vectors.iter().map(|v| u64::from(v[v.len() - 1])).sum::<u64>());
    assert_eq!(thread.join().expect("no panic"), 25 * 7);
    assert!(zeroed.iter().all(|&byte| byte == 0));
}

#[inline(never)]
fn filled(layout: Layout) -> *mut u8 {
    // SAFETY: the size is above 0.
    let block = black_box(unsafe { alloc(layout) });
    // SAFETY: the block has that many bytes.
    unsafe { block.write_bytes(1, layout.size()) };
    block
}

#[inline(never)]
fn leak(layout: Layout) {
    black_box(filled(layout));
}

fn freed(block: *mut u8, layout: Layout) -> *mut u8 {
    // SAFETY: the block is live, unless the fault is that it is not.
    unsafe { dealloc(block, layout) };
    block
}

fn read(at: *mut u8) {
    // SAFETY: a fault, which the tool finds. Without one the memory is still mapped.
    black_box(unsafe { at.read_volatile() });
}

fn write(at: *mut u8) {
    // SAFETY: as in `read`.
    unsafe { at.write_volatile(1) };
}
