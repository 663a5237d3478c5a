//! Runs the measures under callgrind, and reads its output.

use super::path::{self, Mix};
use crate::bench::result::CONTROL;
use crate::tools;
use crate::tree::Tree;
use crate::workspace::{self, Profile};
use anyhow::{Context, Result, bail, ensure};
use hakmem_workloads::measures::{How, MEASURES, Measure};
use object::{Object, ObjectSegment};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A figure per operation, or of pages.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Count {
    pub(crate) figure: f64,
    /// Misses of the first-level data cache, and of the last level.
    pub(crate) misses: Option<[f64; 2]>,
}

/// The counts of one variant.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct OfVariant {
    /// By measure.
    counts: BTreeMap<String, Count>,
    /// The instructions that every hit executes: of alloc, and of free.
    pub(super) hit: [Mix; 2],
}

/// By variant.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Counts(pub(super) BTreeMap<String, OfVariant>);

/// The line that a run prints.
#[derive(Deserialize)]
struct Run {
    process: u32,
    measure: String,
    run: usize,
    pages: Option<u64>,
}

/// A middling machine's caches, equal on every machine. They are simulated for published figures; a gate looks at
/// instructions alone.
const fn caches(profile: Profile) -> &'static [&'static str] {
    match profile {
        Profile::Release => {
            &["--cache-sim=yes", "--I1=32768,8,64", "--D1=32768,8,64", "--LL=8388608,16,64"]
        }
        Profile::Optimised | Profile::Events => &[],
    }
}

impl Counts {
    pub(crate) fn get(&self, variant: &str, measure: &str) -> Option<Count> {
        self.0.get(variant)?.counts.get(measure).copied()
    }

    /// Counts, or reads an earlier count of this very program, whose instructions never change. Pages depend on the
    /// kernel too, and are counted each time.
    pub(crate) fn take(tree: &Tree, profile: Profile) -> Result<Self> {
        tools::need(&[tools::VALGRIND])?;
        let program = cell(profile)?;
        let folder = workspace::target().join("instructions");
        let known = folder.join(format!("{}.json", key(&program, profile)?));
        let before = fs::read_to_string(&known).ok();
        if let Some(counts) = before.and_then(|text| serde_json::from_str::<Self>(&text).ok()) {
            return counts.with_pages(&program);
        }
        let counts = Self::count(tree, &program, profile, &folder)?;
        fs::write(&known, serde_json::to_string(&counts)?)
            .with_context(|| known.display().to_string())?;
        counts.with_pages(&program)
    }

    fn with_pages(mut self, program: &Path) -> Result<Self> {
        self.0.par_iter_mut().try_for_each(|(id, of_variant)| {
            for run in lines(Command::new(program).args([id, "count_pages", "--still"]))? {
                let pages = run.pages.with_context(|| format!("{}: no pages", run.measure))?;
                of_variant.counts.insert(run.measure, Count { figure: pages as f64, misses: None });
            }
            anyhow::Ok(())
        })?;
        Ok(self)
    }

    /// Counts one variant at a time on each core.
    fn count(tree: &Tree, program: &Path, profile: Profile, folder: &Path) -> Result<Self> {
        let bar = workspace::progress(tree.variants.len(), "counting instructions");
        let one = |id: &String| {
            let counts = of_variant(program, profile, id, &folder.join(id));
            bar.inc(1);
            Ok((id.clone(), counts.with_context(|| format!("counting `{id}`"))?))
        };
        let ids: Vec<_> = tree.variants.keys().collect();
        let counts = ids.into_par_iter().map(one).collect::<Result<_>>()?;
        bar.finish_and_clear();
        Ok(Self(counts))
    }
}

/// Two starts of the program, each of which forks for every run.
fn of_variant(program: &Path, profile: Profile, id: &str, folder: &Path) -> Result<OfVariant> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut of_variant = OfVariant::default();
    let mut runs = Vec::new();
    for what in ["count", "count_program"] {
        let mut command = Command::new("valgrind");
        command.args([
            "--quiet",
            "--tool=callgrind",
            "--toggle-collect=*measured_region*",
            "--demangle=no",
        ]);
        command.args(["--dump-instr=yes", "--compress-strings=no", "--compress-pos=no"]);
        command.arg(format!("--callgrind-out-file={}/%p", folder.display())).args(caches(profile));
        runs.extend(lines(command.arg(program).args([id, what, "--still"]))?);
    }
    for measure in MEASURES {
        // Pages are counted without valgrind, which has some of its own.
        if let How::Pages = measure.how {
            continue;
        }
        let mut of_measure =
            runs.iter().filter(|run| run.measure == measure.name).collect::<Vec<_>>();
        of_measure.sort_by_key(|run| run.run);
        let profiles = of_measure.iter().map(|run| read(&folder.join(run.process.to_string())));
        let profiles = profiles.collect::<Result<Vec<_>>>()?;
        let counts: Vec<Count> = profiles.iter().map(|text| totals(text)).collect::<Result<_>>()?;
        if let Some(count) = figure(measure, &counts)? {
            of_variant.counts.insert(measure.name.to_owned(), count);
        }
        if measure.name == path::MEASURE && id != CONTROL {
            let text = profiles.first().context("the path of a hit did not run")?;
            of_variant.hit = path::hit(program, text)?;
        }
    }
    Ok(of_variant)
}

/// A measure's figure; `None` if nothing ran in its region: a lookup's, under a variant that does not look.
fn figure(measure: &Measure, counts: &[Count]) -> Result<Option<Count>> {
    let (count, ops) = match (measure.how, counts) {
        (How::Region { ops }, [all]) => (*all, ops),
        (How::Slope { ops, .. }, [short, long]) => (long.minus(*short), ops),
        _ => bail!("`{}` ran {} times", measure.name, counts.len()),
    };
    Ok((count.figure > 0.0).then(|| count.over(ops)))
}

fn lines(command: &mut Command) -> Result<Vec<Run>> {
    let Output { status, stdout, stderr } = command.output().context("it does not start")?;
    let said = String::from_utf8_lossy(&stderr);
    ensure!(status.success(), "{status}: {}", said.lines().last().unwrap_or_default());
    let said = String::from_utf8_lossy(&stdout);
    let runs = said.lines().filter(|line| line.starts_with('{'));
    runs.map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// Callgrind's totals of a run.
fn totals(profile: &str) -> Result<Count> {
    let numbers = |key: &str| {
        let line = profile.lines().find_map(|line| line.strip_prefix(key));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>())
    };
    let names = numbers("events:").context("no events")?;
    let totals = numbers("totals:").context("no totals")?;
    // Callgrind leaves trailing zeros out.
    let of = |name: &str| -> Option<f64> {
        let place = names.iter().position(|known| *known == name)?;
        totals.get(place).map_or(Some(0.0), |number| number.parse().ok())
    };
    let sum = |read: &str, write: &str| Some(of(read)? + of(write)?);
    let misses = sum("D1mr", "D1mw").zip(sum("DLmr", "DLmw")).map(|(l1, ll)| [l1, ll]);
    Ok(Count { figure: of("Ir").context("no instructions")?, misses })
}

impl Count {
    fn minus(self, other: Self) -> Self {
        let misses = self.misses.zip(other.misses);
        Self {
            figure: self.figure - other.figure,
            misses: misses.map(|(own, other)| [own[0] - other[0], own[1] - other[1]]),
        }
    }

    fn over(self, ops: u64) -> Self {
        let per_op = |count: f64| count / ops as f64;
        Self { figure: per_op(self.figure), misses: self.misses.map(|misses| misses.map(per_op)) }
    }
}

/// Builds the program whose instructions are counted.
pub(crate) fn cell(profile: Profile) -> Result<PathBuf> {
    Ok(profile.build("hakmem-cell", &[])?.join("hakmem-cell"))
}

/// A name for all that the figures depend on: the program, the measures, and the counting program.
fn key(program: &Path, profile: Profile) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let bytes = fs::read(program).with_context(|| program.display().to_string())?;
    // This program does the counting.
    fs::read(std::env::current_exe()?)?.hash(&mut hasher);
    // The loaded sections only: the debug information depends on the source's line numbers.
    for segment in object::File::parse(&*bytes)?.segments() {
        segment.data()?.hash(&mut hasher);
    }
    format!("{MEASURES:?} {profile:?}").hash(&mut hasher);
    workspace::output_of("valgrind", &["--version"]).hash(&mut hasher);
    workspace::output_of("ldd", &["--version"]).hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| file.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_by_their_names() {
        let count =
            totals("events: Ir Dr D1mr DLmr D1mw DLmw\ntotals: 100 5 4 3 2\n").expect("counts");
        assert_eq!(count, Count { figure: 100.0, misses: Some([6.0, 3.0]) });
        assert_eq!(totals("events: Ir\ntotals: 7\n").expect("a count").misses, None);
        assert!(totals("events: Dr\ntotals: 7\n").is_err());
    }

    #[test]
    fn a_slope_is_what_the_longer_run_takes_more() {
        let count = |figure| Count { figure, misses: None };
        let slope = Measure { name: "m", what: "m", how: How::Slope { ops: 10, ws: 1 } };
        let figure = figure(&slope, &[count(30.0), count(50.0)]).expect("two runs");
        assert_eq!(figure, Some(count(2.0)));
        assert!(super::figure(&slope, &[count(30.0)]).is_err());
    }
}
