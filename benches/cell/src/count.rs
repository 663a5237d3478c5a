//! Counts everything of a variant in one start of the program: callgrind takes a second for each start.
//!
//! Each run is a child of its own, forked before any run, so no run depends on another. In `count_program` the parent
//! has allocated its own start's blocks with the variant. A child prints one line of JSON: its process, by which
//! callgrind names its file; its measure and the number of the run; and its pages, if they are the figure.

use crate::chosen;
use crate::erased;
use crate::memory;
use crate::paths::Path;
use hakmem::Observe;
use hakmem_workloads::measures::{How, MEASURES, Measure};
use hakmem_workloads::{Args, Workload};
use serde_json::{Value, json};
use std::process;

/// The kinds of measures that can run in one start.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Paths and workloads that get their allocator.
    Named,
    /// Real code, whose allocator is the program's: it must be the variant from the first allocation on.
    OfProgram,
    /// Memory, of which callgrind would take a part.
    Pages,
}

impl Kind {
    /// The kind of this name on the command line.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "count" => Some(Self::Named),
            "count_program" => Some(Self::OfProgram),
            "count_pages" => Some(Self::Pages),
            _ => None,
        }
    }

    fn of(measure: &Measure) -> Self {
        let workload = measure.what.parse::<Workload>();
        match measure.how {
            How::Pages => Self::Pages,
            _ if workload.is_ok_and(Workload::is_of_program) => Self::OfProgram,
            _ => Self::Named,
        }
    }
}

/// Runs all measures of a kind, each in a child; the children print.
pub(crate) fn all<V: Observe>(kind: Kind) -> Result<Value, String> {
    if kind == Kind::OfProgram && !chosen::is(V::ID) {
        return Err("count_program needs the variant as the first word".to_owned());
    }
    for measure in MEASURES.iter().filter(|measure| Kind::of(measure) == kind) {
        for (number, ops) in measure.runs().into_iter().enumerate() {
            in_child(|| {
                let pages = run::<V>(measure, ops)?;
                Ok(json!({ "process": process::id(), "measure": measure.name, "run": number, "pages": pages }))
            })
            .map_err(|message| format!("{}: {message}", measure.name))?;
        }
    }
    Ok(json!(null))
}

/// Returns the pages, if they are the figure.
fn run<V: Observe>(measure: &Measure, ops: u64) -> Result<Option<u64>, String> {
    match measure.how {
        How::Pages => return memory::run::<V>(measure.what).map(Some),
        How::Region { .. } => {
            let path: Path = measure.what.parse().map_err(|()| "no path".to_owned())?;
            // The system's malloc has no SuperSlabs to look up, and so no figure.
            let _ = path.run::<V>(measure.what, Some(ops));
        }
        How::Slope { ws, .. } => {
            let workload: Workload = measure.what.parse()?;
            let args = Args { cycles: workload.whole(ops, ws as usize), ws: ws as usize, seed: 42 };
            let allocator = erased::allocator::<V>();
            let mut prepared = workload.prepare(&allocator, args);
            crate::cell::measured_region(|| prepared.run());
            prepared.finish().map_err(|wrong| wrong.to_string())?;
        }
    }
    Ok(None)
}

/// Runs a closure in a fork of this process, which has one thread, and waits for its end.
fn in_child(run: impl FnOnce() -> Result<Value, String>) -> Result<(), String> {
    // SAFETY: this program has one thread here, so the child may do all that the parent may.
    let child = unsafe { libc::fork() };
    if child == 0 {
        process::exit(match run() {
            Ok(line) => {
                println!("{line}");
                0
            }
            Err(message) => {
                eprintln!("cell: {message}");
                1
            }
        });
    }
    let mut status = 0;
    // SAFETY: `status` is writable.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    if child < 0 || ended != child || status != 0 {
        return Err(format!("its process ended with status {status}"));
    }
    Ok(())
}
