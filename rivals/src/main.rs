//! One workload under one allocator, which is this program's `#[global_allocator]`. The programs differ
//! in nothing else.

#[path = "../../benches/cell/src/cell.rs"]
mod cell;
#[path = "../../benches/cell/src/hardware.rs"]
mod hardware;
#[path = "../../benches/cell/src/meter.rs"]
mod meter;
mod null;

use clap::Parser;
use hakmem_workloads::Workload;
use serde_json::Value;
use std::alloc::{GlobalAlloc, Layout};
use std::process::ExitCode;

cfg_if::cfg_if! {
    if #[cfg(feature = "hakmem")] {
        #[global_allocator]
        static ALLOCATOR: hakmem::Hakmem = hakmem::Hakmem;
    } else if #[cfg(feature = "jemalloc")] {
        #[global_allocator]
        static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
    } else if #[cfg(any(feature = "mimalloc2", feature = "mimalloc3"))] {
        #[global_allocator]
        static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
    } else if #[cfg(feature = "rpmalloc")] {
        #[global_allocator]
        static ALLOCATOR: rpmalloc::RpMalloc = rpmalloc::RpMalloc;
    } else if #[cfg(feature = "rusty_alloc")] {
        #[global_allocator]
        static ALLOCATOR: rusty_alloc_api::RustyAlloc = rusty_alloc_api::RustyAlloc;
    } else if #[cfg(feature = "snmalloc")] {
        #[global_allocator]
        static ALLOCATOR: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc;
    }
}

/// The program's allocator, by the way that `Box` and `Vec` take.
struct Global;

// SAFETY: each call is the standard library's, with the caller's arguments and under its conditions.
unsafe impl GlobalAlloc for Global {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { std::alloc::alloc(layout) }
    }
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's condition.
        unsafe { std::alloc::alloc_zeroed(layout) }
    }
    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's conditions.
        unsafe { std::alloc::dealloc(block, layout) }
    }
    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: the caller's conditions.
        unsafe { std::alloc::realloc(block, layout, new_size) }
    }
}

/// Run one workload on this program's allocator and print what it took, as a line of JSON.
#[derive(Parser)]
struct Cli {
    /// A workload's name
    workload: Workload,
    #[command(flatten)]
    options: cell::Options,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cell::print(if cfg!(feature = "null") { on_null(&cli) } else { on_global(&cli) })
}

fn on_global(cli: &Cli) -> Result<Value, String> {
    cli.options.run(cli.workload, &Global, || None)
}

/// The null allocator serves the workload alone; the rest of the program has the system's.
fn on_null(cli: &Cli) -> Result<Value, String> {
    if !cli.workload.is_small() {
        return Err(format!("the null allocator cannot serve {}", cli.workload));
    }
    let slots = cli.options.ws.unwrap_or(cli.workload.default_ws());
    // SAFETY: the small workloads have one thread, this one.
    let null = unsafe { null::Null::with_blocks(slots) };
    cli.options.run(cli.workload, &null, || None)
}
