//! The bodies of the fuzz targets: each takes the bytes of one input, and panics at a fault.
//!
//! | target | an input is | a fault is |
//! |---|---|---|
//! | `operations` | a variant, and calls of `GlobalAlloc` by up to four threads | a wrong block, or an unsound heap |
//! | `c_face` | calls of the functions of `libhakmem.so` | a wrong block, a wrong `errno`, or a wrong figure |
//! | `variant_file` | variant files | a panic, or an error of more than one line |
//!
//! `cargo ci fuzz` looks for faults with the nightly toolchain, guided by coverage. The inputs in `corpus/` are those
//! that together reach all code that was reached. `cargo ci test fuzz` replays them on the stable toolchain.
//!
//! One thread at a time works, and the clock stands still between operations that move it. So an input does the same
//! in each run, as far as the heap is the same: a process keeps its heap over its inputs.

pub mod c_face;
mod face;
pub mod operations;
mod shadow;
mod sizes;
pub mod variant_file;

use std::process::ExitCode;

/// Defines a target's program: the fuzzer's where the fuzzer builds it, and elsewhere one that replays files.
#[macro_export]
macro_rules! target {
    ($target:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::$target::run(input));

        #[cfg(not(fuzzing))]
        fn main() -> std::process::ExitCode {
            $crate::replay($crate::$target::run)
        }
    };
}

/// Runs a target with each file that the program's arguments name, and prints the file's name before.
pub fn replay(run: fn(&[u8])) -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.is_empty() {
        eprintln!("no input; the arguments are the files to replay");
        return ExitCode::FAILURE;
    }
    for file in files {
        println!("{file}");
        match std::fs::read(&file) {
            Ok(input) => run(&input),
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
