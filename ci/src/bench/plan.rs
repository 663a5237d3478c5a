//! The plan: the cells that a run measures.

use super::Options;
use super::cells::Cell;
use super::peers::PEERS;
use super::result::CONTROL;
use crate::tree::{Group, Tree, Variant};
use anyhow::{Result, bail};
use hakmem_workloads::{Args, Workload};
use itertools::Itertools;
use std::collections::BTreeMap;
use std::str::FromStr;

/// The small working set that the report names as a guard against regressions.
const SMALL_WS: usize = 256;
/// A working set that no cache holds: half of it is about 70 MB of blocks.
pub(super) const LARGE_WS: usize = 1 << 18;

/// One of several parts of a run, each for a machine of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 0.
    index: usize,
    of: usize,
}

impl Shard {
    /// True for every `of`th index: the cells of this part.
    fn takes(self, index: usize) -> bool {
        index % self.of == self.index
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = || {
            let (index, of) = text.split_once('/')?;
            let (index, of) = (index.parse::<usize>().ok()?, of.parse::<usize>().ok()?);
            (1..=of).contains(&index).then(|| Self { index: index - 1, of })
        };
        numbers().ok_or_else(|| {
            "allowed: I/N, the Ith of N parts, with I from 1 to N, such as 2/11".to_owned()
        })
    }
}

/// The cells to measure, workload by workload, with every peer at the end of each of its rows.
pub(super) fn plan(tree: &Tree, options: &Options, built: &[&str]) -> Result<Vec<Cell>> {
    let ids = match options.ledger {
        true => in_order(tree, crate::ledger::ids(tree)),
        false => chosen_variants(tree, &options.variants)?,
    };
    let variants = ids.iter().map(|id| (id.as_str(), false));
    let places: Vec<_> = variants.chain(PEERS.map(|id| (id, true))).collect();
    let mut plan = Vec::new();
    for workload in workloads(options) {
        for ws in widths(workload, options) {
            let args = Args { cycles: options.cycles(workload, ws), ws, seed: options.seed };
            // Shards count all peers, also those that did not build, so a shard has the same cells on every machine.
            for (index, &(id, peer)) in places.iter().enumerate() {
                let cell = Cell { id: id.to_owned(), peer, workload, args };
                let is_built = !peer || built.contains(&id);
                let is_ours = options.shard.is_none_or(|shard| shard.takes(index));
                if is_built && cell.can_run() && (is_ours || cell.is_control()) {
                    plan.push(cell);
                }
            }
        }
    }
    Ok(plan)
}

fn workloads(options: &Options) -> Vec<Workload> {
    match options.workloads.as_slice() {
        [] if options.extent.suite => Workload::ALL.to_vec(),
        [] if options.verdicts => [Workload::REPORT, Workload::GUARDS].concat(),
        [] => Workload::REPORT.to_vec(),
        some => some.to_vec(),
    }
}

fn widths(workload: Workload, options: &Options) -> Vec<usize> {
    let own = workload.default_ws();
    match (options.ws, workload) {
        (Some(ws), _) => vec![ws as usize],
        (None, Workload::RandomMixed) if options.extent.suite => vec![own, SMALL_WS, LARGE_WS],
        (None, Workload::RandomMixed) => vec![own, SMALL_WS],
        (None, _) => vec![own],
    }
}

/// The variants of the matrix.
pub(crate) fn matrix(tree: &Tree) -> impl Iterator<Item = &Variant> {
    tree.variants.values().filter(|variant| variant.group == Group::Matrix)
}

/// The ids asked for, or the matrix; the control always first.
pub(crate) fn chosen_variants(tree: &Tree, asked: &[String]) -> Result<Vec<String>> {
    let mut ids = check_ids(tree, asked)?.to_vec();
    match asked {
        [] => ids.extend(matrix(tree).map(|variant| variant.id.clone())),
        _ => ids.extend(asked.iter().filter_map(|id| Some(tree.hash_twin(id)?.id.clone()))),
    }
    Ok(in_order(tree, ids))
}

/// Fails at an id of `--variants` that is no variant.
pub(crate) fn check_ids<'a>(tree: &Tree, asked: &'a [String]) -> Result<&'a [String]> {
    let unknown = asked.iter().find(|id| !tree.variants.contains_key(*id));
    let known = || tree.variants.keys().join(", ");
    match unknown {
        Some(id) => bail!("--variants: no variant `{id}`; allowed: {}", known()),
        None => Ok(asked),
    }
}

/// The control first, and then these, once each.
fn in_order(tree: &Tree, mut ids: Vec<String>) -> Vec<String> {
    ids.push(CONTROL.to_owned());
    ids.sort_by_key(|id| (id != CONTROL, depth_first(tree, id)));
    ids.dedup();
    ids
}

/// Sorts a variant behind its ancestors, and a hash twin right behind its parent.
pub(crate) fn depth_first(tree: &Tree, id: &str) -> Vec<(bool, String)> {
    let parent = |variant: &&Variant| tree.variants.get(variant.parent.as_ref()?);
    let up = std::iter::successors(tree.variants.get(id), parent);
    let mut path = up.map(|it| (!it.is_hash_twin(), it.id.clone())).collect_vec();
    path.reverse();
    path
}

/// The jobs of the matrix and of the variants that the ledger compares it with, each for a machine of its own: a
/// variant with one lookup, and its shard of `cargo ci bench --ledger`.
pub(crate) fn jobs(tree: &Tree) -> Vec<BTreeMap<&'static str, String>> {
    let ids = in_order(tree, crate::ledger::ids(tree));
    let job = |(index, id): (usize, &String)| {
        let variant = &tree.variants[id];
        let twin_of = variant.parent.as_ref().filter(|_| variant.is_hash_twin());
        let lookup = variant.knobs.get("registry").map_or_else(String::new, ToString::to_string);
        let features = twin_of.map_or(id.clone(), |parent| format!("{parent},hash-lookup"));
        BTreeMap::from([
            ("id", id.clone()),
            ("variant", twin_of.unwrap_or(id).clone()),
            ("lookup", lookup),
            ("features", features),
            ("shard", format!("{}/{}", index + 1, ids.len())),
        ])
    };
    ids.iter().enumerate().map(job).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn tree() -> Tree {
        crate::workspace::variants().expect("the variants")
    }

    fn planned(args: &[&str], peers: &[&str]) -> Vec<Cell> {
        let cli = crate::Cli::parse_from([&["cargo ci", "bench"], args].concat());
        let crate::Command::Bench(options) = cli.command else { panic!("{args:?}") };
        plan(&tree(), &options, peers).expect("a plan")
    }

    #[test]
    fn the_matrix_has_the_report_s_variants_twice_and_the_way_to_apex() {
        let expected = "legacy superslab superslab-hash option-a option-a-hash option-ab option-ab-hash \
            option-abd option-abd-hash address-map uncapped central-lists fine-classes own-large \
            kept-mappings free-by-layout byte-bound transfer-cache fullest-first fresh-zero \
            purge-slots purge-pages spread-lines room-to-grow parked-lists reclaim-first \
            finer-classes zero-dirty arenas moved-pages heap-share span-cache huge-pages lent-blocks \
            stepwise-access apex option-ad option-ad-hash";
        assert_eq!(chosen_variants(&tree(), &[]).expect("the matrix").join(" "), expected);
    }

    #[test]
    fn a_variant_stands_for_both_lookups_and_brings_the_control() {
        let ids = |asked: &str| chosen_variants(&tree(), &[asked.to_owned()]);
        assert_eq!(ids("option-a").expect("known"), ["legacy", "option-a", "option-a-hash"]);
        assert_eq!(ids("option-a-hash").expect("known"), ["legacy", "option-a-hash"]);
        let error = ids("option-z").expect_err("unknown").to_string();
        assert!(error.contains("`option-z`") && error.contains("option-abd"), "{error}");
    }

    #[test]
    fn the_parts_of_a_run_are_the_run_and_each_has_the_control() {
        let peers = ["hakmem", "jemalloc"];
        let (controls, mut whole): (Vec<_>, Vec<_>) =
            planned(&[], &peers).into_iter().partition(Cell::is_control);
        for shard in ["1/3", "2/3", "3/3"] {
            let part = planned(&["--shard", shard], &peers);
            assert!(controls.iter().all(|control| part.contains(control)), "{shard}");
            let before = whole.len();
            whole.retain(|cell| !part.contains(cell));
            assert_eq!(before - whole.len(), part.len() - controls.len(), "{shard}");
        }
        assert_eq!(whole, []);
    }

    #[test]
    fn a_wrong_part_is_told_what_is_allowed() {
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0"] {
            let said = wrong.parse::<Shard>().expect_err(wrong);
            assert!(said.contains("allowed: I/N"), "{said}");
        }
        assert_eq!("2/11".parse(), Ok(Shard { index: 1, of: 11 }));
    }

    #[test]
    fn a_job_for_every_variant_with_the_features_that_select_it() {
        let jobs = jobs(&tree());
        assert_eq!(jobs.len(), 39);
        for job in &jobs {
            let part = planned(&["--ledger", "--shard", &job["shard"]], &[]);
            let ids = part.iter().map(|cell| cell.id.as_str()).unique().collect_vec();
            let expected = [CONTROL, job["id"].as_str()].into_iter().unique().collect_vec();
            assert_eq!(ids, expected);
        }
        let hash = jobs.iter().find(|job| job["id"] == "option-a-hash").expect("a job");
        assert_eq!(hash["features"], "option-a,hash-lookup");
        assert_eq!((hash["variant"].as_str(), hash["lookup"].as_str()), ("option-a", "hash"));
    }
}
