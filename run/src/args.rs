//! The command line.

use clap::{Parser, Subcommand};
use std::ffi::OsString;

#[derive(Parser)]
#[command(name = "hakmem", version, about = "Runs programs on hakmem without recompiling them")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Verb,
}

#[derive(Subcommand)]
pub(crate) enum Verb {
    /// Run a program on hakmem, and say on standard error what it took
    ///
    /// The program's exit status, or the signal that ended it, is passed on. Ours are 125 (a failure of our own),
    /// 126 (the program cannot be run), 127 (it is not there) and 2 (a wrong command line).
    Run(Options),
}

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run it under the system's malloc first, and print both side by side
    #[arg(long)]
    pub(crate) compare: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_names = ["PROGRAM", "ARGS"])]
    pub(crate) program: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_program_is_the_programs() {
        for line in ["hakmem run -- ls --compare", "hakmem run ls --compare"] {
            let Verb::Run(options) = Cli::parse_from(line.split(' ')).command;
            assert!(!options.compare, "{line}");
            assert_eq!(options.program, ["ls", "--compare"], "{line}");
        }
    }
}
