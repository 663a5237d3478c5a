//! The programs, the work of each, and whether they are installed.
//!
//! All are Debian's, by path: one from elsewhere may carry an allocator of its own, as the `rustc` of
//! rust-lang.org does, and then no library replaces it.

use crate::tools;
use crate::workspace::output_of;
use anyhow::Result;

/// A program and its work: a shell script that prints one output for a size, in every run.
pub(super) struct Program {
    pub(super) name: &'static str,
    sets: Sets,
    /// Each program that the script needs, and the package that contains it.
    needs: &'static [(&'static str, &'static str)],
    /// Files in the folder where the script runs: name and text.
    pub(super) files: &'static [(&'static str, &'static str)],
    /// For `sh -eu`; its one argument is the size.
    pub(super) script: &'static str,
    /// The sizes for seconds, and for tenths of a second.
    sizes: [u32; 2],
}

/// The run in which a program takes part if the command line names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sets {
    Full,
    Short,
    Both,
}

pub(super) const PROGRAMS: [Program; 12] = [
    Program {
        name: "python3",
        sets: Sets::Both,
        needs: &[("/usr/bin/python3", "python3")],
        files: &[("work.py", include_str!("../../../preload/programs/work.py"))],
        // Otherwise small objects come from an allocator of its own.
        script: "export PYTHONMALLOC=malloc PYTHONHASHSEED=0\nexec python3 work.py \"$1\"",
        sizes: [100_000, 10_000],
    },
    Program {
        name: "perl",
        sets: Sets::Both,
        needs: &[("/usr/bin/perl", "perl-base")],
        files: &[("work.pl", include_str!("../../../preload/programs/work.pl"))],
        script: "exec perl work.pl \"$1\"",
        sizes: [200_000, 20_000],
    },
    Program {
        name: "sqlite3",
        sets: Sets::Both,
        needs: &[("/usr/bin/sqlite3", "sqlite3")],
        files: &[("work.sql", include_str!("../../../preload/programs/work.sql"))],
        script: include_str!("../../../preload/programs/sqlite3.sh"),
        sizes: [200_000, 20_000],
    },
    Program {
        name: "redis",
        sets: Sets::Full,
        needs: &[("/usr/bin/redis-check-rdb", "redis-tools")],
        files: &[],
        script: include_str!("../../../preload/programs/redis.sh"),
        sizes: [60_000, 5_000],
    },
    Program {
        name: "git",
        sets: Sets::Both,
        needs: &[("/usr/bin/git", "git")],
        files: &[],
        script: include_str!("../../../preload/programs/git.sh"),
        sizes: [200, 20],
    },
    Program {
        name: "g++",
        sets: Sets::Both,
        needs: &[("/usr/bin/g++", "g++")],
        files: &[("work.cpp", include_str!("../../../preload/programs/work.cpp"))],
        script: "g++ -O2 -std=c++17 -DSIZE=\"$1\" -S -o work.s work.cpp\ncksum <work.s",
        sizes: [6, 1],
    },
    Program {
        name: "node",
        sets: Sets::Full,
        needs: &[("/usr/bin/node", "nodejs")],
        files: &[("work.js", include_str!("../../../preload/programs/work.js"))],
        script: "exec node work.js \"$1\"",
        sizes: [20_000, 1_000],
    },
    Program {
        name: "java",
        sets: Sets::Full,
        needs: &[("/usr/bin/javac", "default-jdk-headless")],
        files: &[("Work.java", include_str!("../../../preload/programs/Work.java"))],
        // Its messages about performance go outside of the folder.
        script: "exec java -Xmx256m -XX:-UsePerfData Work.java \"$1\"",
        sizes: [5_000, 250],
    },
    Program {
        name: "sort",
        sets: Sets::Short,
        needs: &[("/usr/bin/sort", "coreutils")],
        files: &[],
        script: include_str!("../../../preload/programs/sort.sh"),
        sizes: [600_000, 50_000],
    },
    Program {
        name: "stress-ng",
        sets: Sets::Full,
        needs: &[("/usr/bin/stress-ng", "stress-ng")],
        files: &[],
        script: include_str!("../../../preload/programs/stress-ng.sh"),
        sizes: [10_000, 500],
    },
    Program {
        name: "rustc",
        sets: Sets::Both,
        needs: &[("/usr/bin/rustc", "rustc")],
        files: &[("work.rs", include_str!("../../../preload/programs/work.rs"))],
        script: include_str!("../../../preload/programs/rustc.sh"),
        sizes: [3, 1],
    },
    Program {
        name: "cargo",
        sets: Sets::Full,
        needs: &[("/usr/bin/cargo", "cargo"), ("/usr/bin/rustc", "rustc")],
        files: &[("work.rs", include_str!("../../../preload/programs/work.rs"))],
        script: include_str!("../../../preload/programs/cargo.sh"),
        sizes: [3, 1],
    },
];

impl Program {
    /// The size of its work.
    pub(super) fn size(&self, quick: bool) -> u32 {
        self.sizes[usize::from(quick)]
    }

    /// True if it runs when the command line names no program.
    pub(super) fn is_in_set(&self, quick: bool) -> bool {
        self.sets != if quick { Sets::Full } else { Sets::Short }
    }

    pub(super) fn is_installed(&self) -> bool {
        self.needs.iter().all(|(path, _)| version_of(path).is_some())
    }

    /// Installs the missing packages where this user may.
    pub(super) fn install(&self) -> Result<()> {
        self.needs.iter().try_for_each(|(path, package)| tools::need(&[(path, package)]))
    }

    /// The first line of its version message.
    pub(super) fn version(&self) -> String {
        let said = self.needs.first().and_then(|(path, _)| version_of(path));
        said.as_deref().and_then(|said| said.lines().next()).unwrap_or("unknown").to_owned()
    }

    /// One for a test.
    #[cfg(test)]
    pub(super) const fn of(name: &'static str, script: &'static str) -> Self {
        Self { name, sets: Sets::Short, needs: &[], files: &[], script, sizes: [2, 1] }
    }
}

fn version_of(path: &str) -> Option<String> {
    output_of(path, &["--version"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use itertools::Itertools;

    #[test]
    fn a_quick_run_differs_in_nothing_but_its_size() {
        assert!(PROGRAMS.iter().map(|program| program.name).all_unique());
        for Program { name, script, files, sizes: [full, quick], .. } in &PROGRAMS {
            assert!(quick < full, "{name}");
            assert!(script.contains("$1"), "{name} does not read its size");
            let is_used = |(file, _): &(&str, &str)| script.contains(file);
            assert!(files.iter().all(is_used), "{name} does not use all of its files");
        }
    }
}
