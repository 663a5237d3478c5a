//! The programs of `preload/tests`, in C and C++: each checks what a C library's allocator must do.

use crate::tools;
use crate::workspace::{self, must_succeed, shown};
use anyhow::{Context, Result, ensure};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Their file names.
const CHECKS: [&str; 31] = [
    STARTS,
    "first.c",
    "screen.c",
    "at_once.c",
    "interposed.c",
    "hooked.c",
    "filtered.c",
    "edges.c",
    "aligned.c",
    "zeroed.c",
    "unwritten.c",
    "locked.c",
    "lent.c",
    "mappings.c",
    HUGE,
    "tuned.c",
    "watched.c",
    "limit.c",
    "audited.c",
    "stress.c",
    "herd.c",
    IDLES,
    "background.c",
    ENDS,
    FORKS,
    "interrupted.c",
    SAMPLES,
    OPENS,
    EXHAUSTS,
    FOREIGN,
    "operators.cpp",
];

/// The program with operators of its own in place of some of C++'s, and the sets of them: it is compiled for each.
const REPLACES: &str = "replaced.cpp";
const REPLACED: [&str; 10] = [
    "NEW",
    "NEW_ARRAY",
    "NEW_ALIGNED",
    "NEW_ARRAY_ALIGNED",
    "DELETE",
    "DELETE_ARRAY",
    "DELETE_ALIGNED",
    "DELETE_ARRAY_ALIGNED",
    "NEW|DELETE",
    "NEW_ALIGNED|DELETE_ALIGNED",
];

/// The program that counts page faults of a short program, for the default variant's sake.
const STARTS: &str = "starts.c";
/// The program that forks among busy threads, as often as its argument says.
const FORKS: &str = "forks.c";
/// The program that opens the library by itself.
const OPENS: &str = "opened.c";
/// The program that takes all memory in one size, frees it, and asks for other sizes.
const EXHAUSTS: &str = "exhausted.c";
/// The program that grows and replaces large blocks, and its argument for a variant that never keeps their pages.
const HUGE: &str = "huge.c";
const FENCED: &str = "fenced";
/// The program that frees much and goes on with little, and the variants whose memory goes back meanwhile. Their
/// parents give back less of it, or nothing.
const IDLES: &str = "idle.c";
const RETURNING: [&str; 2] = ["apex", REFUSING];
/// Its argument under these variants.
const RETURNS: &str = "returns";
/// The program that misuses sampled blocks, and the beginnings of the variants that do not run it: those before the
/// central backend sample none, and a tail of `guard` lies between a block and the closed pages.
const SAMPLES: &str = "sampled.c";
const SAMPLELESS: [&str; 6] = ["legacy", "superslab", "option-", "address-map", "uncapped", GUARD];
/// Its argument under the others.
const SAMPLING: &str = "samples";
/// The programs that run once more under the default variant, with a part of their blocks sampled.
const RERUN: [&str; 6] = ["edges.c", "aligned.c", "zeroed.c", "stress.c", ENDS, FORKS];
const SAMPLE: (&str, &str) = ("HAKMEM_SAMPLE", "3");
/// The program whose threads end and leave blocks that other threads may take.
const ENDS: &str = "ends.c";
/// Variants, and the programs that they cannot pass. Without a cap the report's backend keeps every SuperSlab, and leaves
/// no addresses to the system's malloc, which serves large blocks. `superslab` also leaves emptied slabs where no thread
/// looks for them, which is the report's defect.
const BEYOND: [(&str, &str); 3] =
    [("superslab-cap-none", EXHAUSTS), ("superslab-cap-none", ENDS), ("uncapped", EXHAUSTS)];
/// The program that uses blocks of the C library's own.
const FOREIGN: &str = "foreign.c";
/// The variants that end the program at such a block, and the start of their only line.
pub(crate) const REFUSING: &str = "foreign-fatal";
pub(crate) const GUARD: &str = "guard";
const REFUSES: &str = "hakmem: fatal: no block of this allocator: 0x";

/// Forks among busy threads: of the default variant, and of others.
pub(crate) const MANY_FORKS: u32 = 1000;
pub(crate) const FEW_FORKS: u32 = 50;

/// All of them, built.
pub(crate) struct Checks(Vec<Check>);

struct Check {
    name: &'static str,
    program: PathBuf,
}

/// How a check must end.
#[derive(PartialEq, Eq)]
enum End {
    /// By itself, with `ok` as its only output.
    Ok,
    /// Ended by the library, with the library's line.
    Refused,
}

impl Checks {
    pub(crate) fn build() -> Result<Self> {
        tools::need(&[tools::GCC, tools::GXX])?;
        let build = |(name, replaced)| Ok(Check { name, program: compile(name, replaced)? });
        let once = CHECKS.into_iter().map(|name| (name, None));
        let replacing = REPLACED.into_iter().map(|forms| (REPLACES, Some(forms)));
        Ok(Self(once.chain(replacing).map(build).collect::<Result<_>>()?))
    }

    /// Runs them under a variant's library, or under the system's malloc; returns which failed, and how.
    pub(crate) fn failures(&self, under: Option<(&str, &Path)>, forks: u32) -> Vec<String> {
        let (variant, library) = under.unzip();
        let run = |check: &Check| {
            if variant.is_some_and(|id| BEYOND.contains(&(id, check.name))) {
                return None;
            }
            let samples =
                variant.is_some_and(|id| !SAMPLELESS.iter().any(|start| id.starts_with(start)));
            let returns = variant.is_some_and(|id| RETURNING.contains(&id));
            let refuses = matches!(variant, Some(REFUSING | GUARD));
            let end = match check.name {
                STARTS if variant.is_some_and(|id| id != "apex") => return None,
                // It frees by the library a block that it got before it opened the library.
                OPENS if refuses => return None,
                FOREIGN if refuses => End::Refused,
                _ => End::Ok,
            };
            let word = match check.name {
                FORKS => Some(forks.to_string()),
                IDLES if returns => Some(RETURNS.to_owned()),
                HUGE if variant == Some(GUARD) => Some(FENCED.to_owned()),
                SAMPLES if samples => Some(SAMPLING.to_owned()),
                _ => None,
            };
            let mut failure = check.run(library, word.clone(), &end, None).err();
            if variant == Some("apex") && RERUN.contains(&check.name) && failure.is_none() {
                failure = check.run(library, word, &end, Some(SAMPLE)).err();
            }
            let failure = failure?;
            Some(format!("under {}: {failure:#}", variant.unwrap_or("the system's malloc")))
        };
        self.0.iter().filter_map(run).collect()
    }

    /// Runs them under a variant's library; fails if one fails.
    pub(crate) fn pass(&self, under: Option<(&str, &Path)>, forks: u32) -> Result<()> {
        let failures = self.failures(under, forks);
        ensure!(failures.is_empty(), "{}", failures.join("; "));
        Ok(())
    }
}

impl Check {
    fn run(
        &self,
        library: Option<&Path>,
        word: Option<String>,
        end: &End,
        setting: Option<(&str, &str)>,
    ) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(word).envs(setting);
        if self.name == OPENS {
            command.args(library);
        } else if let Some(library) = library {
            command.env("LD_PRELOAD", library);
        }
        let output = output(&mut command)?;
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        let is_right = match end {
            End::Ok => output.status.success() && said.trim() == "ok",
            End::Refused => {
                output.status.signal() == Some(libc::SIGABRT)
                    && errors.starts_with(REFUSES)
                    && errors.lines().count() == 1
            }
        };
        ensure!(is_right, "{} ended by {}: {said}{errors}", shown(&command), output.status);
        Ok(())
    }
}

/// Builds one of the programs; returns its path.
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    ensure!(CHECKS.contains(&name), "no program `{name}` in preload/tests");
    compile(name, None)
}

/// Builds a check as users build their programs, but without the compiler's knowledge about `malloc`.
fn compile(name: &str, replaced: Option<&str>) -> Result<PathBuf> {
    let folder = workspace::target().join("preload/checks");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let program = [name].into_iter().chain(replaced).collect::<Vec<_>>().join("-");
    let program = folder.join(program.replace(['.', '|'], "-"));
    let is_cxx = name.ends_with(".cpp");
    let mut command = Command::new(if is_cxx { "g++" } else { "gcc" });
    command.arg(if is_cxx { "-std=c++17" } else { "-std=gnu11" });
    command.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-fno-builtin"]);
    command.args(replaced.map(|forms| format!("-DREPLACED={forms}"))).arg("-o");
    command.arg(&program).arg(workspace::root().join("preload/tests").join(name)).arg("-ldl");
    must_succeed(&mut command)?;
    Ok(program)
}

pub(crate) fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("{} does not start", shown(command)))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
