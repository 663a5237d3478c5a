//! `hakmem run`: runs a program on hakmem, and prints its time and memory.
//!
//! | file | |
//! |---|---|
//! | `args` | the command line |
//! | `library` | `libhakmem.so`, carried inside and written to a folder of this run |
//! | `input` | standard input that two runs read |
//! | `child` | a run of the program, and its cost |
//! | `signals` | signals that are passed on to the program, and the one that ended it |
//! | `heap` | the library's summary of its heap |
//! | `print` | the block at the end |
//! | `refusal` | errors, and their exit codes |
//!
//! Never: changes the program's input, output, or exit status.

mod args;
mod child;
mod heap;
mod input;
mod library;
mod print;
mod refusal;
mod signals;

use anyhow::anyhow;
use args::{Cli, Options, Verb};
use clap::Parser;
use refusal::Refusal;
use signals::Signals;
use std::io::Write;
use std::process::{Command, ExitCode, ExitStatus};

fn main() -> ExitCode {
    let Verb::Run(options) = Cli::parse().command;
    match run(&options) {
        Ok(status) => signals::end_like(status),
        Err(Refusal { code, why }) => {
            say(&format!("hakmem: {why:#}\n"));
            ExitCode::from(code)
        }
    }
}

/// Runs everything but the end, and has cleaned up when it returns.
fn run(options: &Options) -> Result<ExitStatus, Refusal> {
    let input = if options.compare { Some(input::Input::look()?) } else { None };
    // From here on no signal ends this process and leaves the folder behind.
    let signals = Signals::hold()?;
    let mut system = None;
    if let Some(mut input) = input {
        let first = child::run(&mut program(options)?, &signals)?;
        if first.told_to_stop {
            say("hakmem: told to stop: no second run\n");
            return Ok(first.status);
        }
        input.rewind()?;
        system = Some(first);
    }
    let library = library::Library::write()?;
    let mut command = program(options)?;
    library.preload(&mut command);
    let summary = library.ask_for_summary(&mut command);
    let ours = child::run(&mut command, &signals)?;
    let heap = summary.map(|file| heap::Heap::read(&file));
    say(&match system {
        Some(system) => print::beside(&system, &ours, heap.as_ref()),
        None => print::alone(&ours, heap.as_ref()),
    });
    Ok(ours.status)
}

fn program(options: &Options) -> Result<Command, Refusal> {
    let [program, args @ ..] = &options.program[..] else {
        return Err(Refusal::usage("no program is named"));
    };
    let mut command = Command::new(program);
    command.args(args);
    Ok(command)
}

/// Prints to standard error. If nobody reads it, the program's exit status is still passed on.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The last failure of the C library, in words.
fn os_error(what: &str) -> anyhow::Error {
    anyhow!("{what}: {}", std::io::Error::last_os_error())
}
