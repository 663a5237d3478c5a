//! Which cells a run measures.

use super::Options;
use super::cells::Cell;
use super::peers;
use super::result::CONTROL;
use crate::tree::{Group, Tree, Variant};
use anyhow::{Result, bail};
use hakmem_workloads::{Args, Workload};
use std::collections::BTreeMap;
use std::str::FromStr;

/// The small working set that the report names as the suite to guard against regressions.
const SMALL_WS: usize = 256;
/// One that no cache holds: half of it is about 70 MB of blocks.
pub(super) const LARGE_WS: usize = 1 << 18;

/// One of several parts of a run, each for a machine of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 0.
    index: usize,
    of: usize,
}

impl Shard {
    /// What is in this part, of everything: every `of`th.
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
    let in_shard = |index: usize| options.shard.is_none_or(|shard| shard.takes(index));
    let places = ids.iter().map(|id| (id.as_str(), false));
    // By the place among all peers, also those that did not build: a shard is the same everywhere.
    let places: Vec<(&str, bool)> = places
        .chain(peers::names().map(|id| (id, true)))
        .enumerate()
        .filter(|&(_, (id, peer))| !peer || built.contains(&id))
        .filter(|&(index, (id, peer))| in_shard(index) || (id == CONTROL && !peer))
        .map(|(_, place)| place)
        .collect();
    let mut plan = Vec::new();
    for workload in workloads(options) {
        for ws in widths(workload, options) {
            let args = Args { cycles: options.cycles(workload, ws), ws, seed: options.seed };
            let cell =
                |&(id, peer): &(&str, bool)| Cell { id: id.to_owned(), peer, workload, args };
            plan.extend(places.iter().map(cell).filter(Cell::can_run));
        }
    }
    Ok(plan)
}

fn workloads(options: &Options) -> Vec<Workload> {
    match options.workloads.as_slice() {
        [] if options.suite => Workload::ALL.to_vec(),
        [] if options.verdicts => [Workload::REPORT, Workload::GUARDS].concat(),
        [] => Workload::REPORT.to_vec(),
        some => some.to_vec(),
    }
}

fn widths(workload: Workload, options: &Options) -> Vec<usize> {
    match (options.ws, workload) {
        (Some(ws), _) => vec![ws as usize],
        (None, Workload::RandomMixed) if options.suite => {
            vec![workload.default_ws(), SMALL_WS, LARGE_WS]
        }
        (None, Workload::RandomMixed) => vec![workload.default_ws(), SMALL_WS],
        (None, _) => vec![workload.default_ws()],
    }
}

/// The variants of the matrix.
pub(crate) fn matrix(tree: &Tree) -> impl Iterator<Item = &Variant> {
    tree.variants.values().filter(|variant| variant.group == Group::Matrix)
}

/// The ids asked for, or the matrix; the control always first.
pub(crate) fn chosen_variants(tree: &Tree, asked: &[String]) -> Result<Vec<String>> {
    let mut ids: Vec<String> = Vec::new();
    if asked.is_empty() {
        ids.extend(matrix(tree).map(|variant| variant.id.clone()));
    }
    for id in asked {
        let Some(variant) = tree.variants.get(id) else {
            let known: Vec<&str> = tree.variants.keys().map(String::as_str).collect();
            bail!("--variants: no variant `{id}`; allowed: {}", known.join(", "));
        };
        ids.push(variant.id.clone());
        ids.extend(tree.hash_twin(id).map(|twin| twin.id.clone()));
    }
    Ok(in_order(tree, ids))
}

/// The control, which is always there, and then these, once each.
fn in_order(tree: &Tree, mut ids: Vec<String>) -> Vec<String> {
    ids.push(CONTROL.to_owned());
    ids.sort_by_key(|id| (id != CONTROL, depth_first(tree, id)));
    ids.dedup();
    ids
}

/// Sorts a variant behind its ancestors, and a hash twin right behind its parent.
pub(crate) fn depth_first(tree: &Tree, id: &str) -> Vec<(bool, String)> {
    let mut path = Vec::new();
    let mut at = tree.variants.get(id);
    while let Some(variant) = at {
        path.push((!variant.is_hash_twin(), variant.id.clone()));
        at = variant.parent.as_ref().and_then(|parent| tree.variants.get(parent));
    }
    path.reverse();
    path
}

/// The jobs of the matrix and of what the ledger holds it against, each for a machine of its own: a
/// variant with one lookup, and its shard of `cargo ci bench --ledger`.
pub(crate) fn jobs(tree: &Tree) -> Vec<BTreeMap<&'static str, String>> {
    let ids = in_order(tree, crate::ledger::ids(tree));
    let job = |(index, id): (usize, &String)| {
        let variant = &tree.variants[id];
        let twin_of = variant.parent.as_ref().filter(|_| variant.is_hash_twin());
        let lookup = variant.knobs.get("registry").map_or_else(String::new, ToString::to_string);
        let features = match twin_of {
            Some(parent) => format!("{parent},hash-lookup"),
            None => id.clone(),
        };
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

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn planned(args: &[&str], peers: &[&str]) -> Vec<Cell> {
        let cli = Cli::try_parse_from([&["bench"], args].concat()).expect("good arguments");
        let tree = crate::workspace::variants().expect("the variants");
        plan(&tree, &cli.options, peers).expect("a plan")
    }

    #[test]
    fn the_matrix_has_the_report_s_variants_twice_and_the_way_to_apex() {
        let tree = crate::workspace::variants().expect("the variants");
        let ids = chosen_variants(&tree, &[]).expect("the matrix");
        let expected = [
            "legacy",
            "superslab",
            "superslab-hash",
            "option-a",
            "option-a-hash",
            "option-ab",
            "option-ab-hash",
            "option-abd",
            "option-abd-hash",
            "central-lists",
            "uncapped",
            "fine-classes",
            "address-map",
            "own-large",
            "kept-mappings",
            "free-by-layout",
            "byte-bound",
            "transfer-cache",
            "fullest-first",
            "fresh-zero",
            "purge-slots",
            "purge-pages",
            "spread-lines",
            "room-to-grow",
            "parked-lists",
            "reclaim-first",
            "finer-classes",
            "zero-dirty",
            "apex",
            "option-ad",
            "option-ad-hash",
        ];
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_variant_stands_for_both_lookups_and_brings_the_control() {
        let tree = crate::workspace::variants().expect("the variants");
        let ids = |asked: &str| chosen_variants(&tree, &[asked.to_owned()]);
        assert_eq!(ids("option-a").expect("known"), ["legacy", "option-a", "option-a-hash"]);
        assert_eq!(ids("option-a-hash").expect("known"), ["legacy", "option-a-hash"]);
        let error = ids("option-z").expect_err("unknown").to_string();
        assert!(error.contains("`option-z`") && error.contains("option-abd"), "{error}");
    }

    #[test]
    fn the_parts_of_a_run_are_the_run_and_each_has_the_control() {
        let peers = ["hakmem", "jemalloc"];
        let whole = planned(&[], &peers);
        let mut parts: Vec<Cell> = Vec::new();
        for shard in ["1/3", "2/3", "3/3"] {
            let part = planned(&["--shard", shard], &peers);
            assert!(part.iter().any(|cell| cell.id == CONTROL), "{shard}");
            parts.extend(part.into_iter().filter(|cell| !parts_has(&whole, cell, CONTROL)));
        }
        let others = whole.iter().filter(|cell| cell.id != CONTROL);
        assert_eq!(others.clone().count(), parts.len());
        assert!(others.into_iter().all(|cell| parts.contains(cell)));
    }

    /// Whether a cell of the plan is this one, and the control's.
    fn parts_has(plan: &[Cell], cell: &Cell, control: &str) -> bool {
        cell.id == control && plan.contains(cell)
    }

    #[test]
    fn a_wrong_part_is_told_what_is_allowed() {
        for wrong in ["0/3", "4/3", "3", "a/b", "1/0"] {
            let error = wrong.parse::<Shard>().expect_err("wrong");
            assert!(error.contains("allowed: I/N"), "{error}");
        }
        assert_eq!("2/11".parse(), Ok(Shard { index: 1, of: 11 }));
    }

    #[test]
    fn a_job_for_every_variant_with_the_features_that_select_it() {
        let tree = crate::workspace::variants().expect("the variants");
        let jobs = jobs(&tree);
        assert_eq!(jobs.len(), 32);
        for job in &jobs {
            let part = planned(&["--ledger", "--shard", &job["shard"]], &[]);
            let mut ids: Vec<&str> = part.iter().map(|cell| cell.id.as_str()).collect();
            ids.sort_by_key(|id| *id != CONTROL);
            ids.dedup();
            let own = job["id"].as_str();
            assert_eq!(ids, if own == CONTROL { vec![own] } else { vec![CONTROL, own] });
        }
        let hash = jobs.iter().find(|job| job["id"] == "option-a-hash").expect("a job");
        assert_eq!(hash["features"], "option-a,hash-lookup");
        assert_eq!((hash["variant"].as_str(), hash["lookup"].as_str()), ("option-a", "hash"));
    }
}
