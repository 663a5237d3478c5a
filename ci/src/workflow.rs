//! Checks of the workflow in `.github/workflows/`: its syntax by a model of GitHub's, its commands by our own parser,
//! its references by looking for what they name.

use crate::Cli;
use clap::Parser;
use github_actions_models::workflow::job::{NormalJob, Step};
use github_actions_models::workflow::{Job, Workflow};
use yaml_serde::Value;

/// Keys that GitHub knows; the model would let others pass.
const TOP: &[&str] = &["name", "on", "permissions", "concurrency", "env", "defaults", "jobs"];
const JOB: &[&str] = &[
    "name",
    "needs",
    "if",
    "runs-on",
    "container",
    "concurrency",
    "permissions",
    "environment",
    "outputs",
    "env",
    "strategy",
    "steps",
    "timeout-minutes",
];
const STEP: &[&str] = &["id", "if", "name", "uses", "run", "with", "env", "shell"];

fn text() -> String {
    let file = crate::workspace::root().join(".github/workflows/matrix.yml");
    std::fs::read_to_string(file).expect("the workflow")
}

fn jobs() -> Vec<(String, NormalJob)> {
    let workflow: Workflow = yaml_serde::from_str(&text()).expect("a workflow");
    let normal = |(name, job)| match job {
        Job::NormalJob(job) => (name, *job),
        Job::ReusableWorkflowCallJob(_) => panic!("{name} calls a workflow"),
    };
    workflow.jobs.into_iter().map(normal).collect()
}

/// The command lines of a job's steps.
fn lines(job: &NormalJob) -> Vec<String> {
    let runs = job.steps.iter().filter_map(|step| match step {
        Step::Run(step) => Some(step.run.clone()),
        _ => None,
    });
    runs.flat_map(|run| run.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn all_lines() -> Vec<String> {
    jobs().iter().flat_map(|(_, job)| lines(job)).collect()
}

fn only(value: &Value, allowed: &[&str], place: &str) {
    let mapping = value.as_mapping().unwrap_or_else(|| panic!("{place} is no mapping"));
    for key in mapping.keys() {
        let key = key.as_str().unwrap_or_else(|| panic!("{place}: a key is no text"));
        assert!(allowed.contains(&key), "{place}: `{key}` is no key here");
    }
}

#[test]
fn every_key_is_one() {
    let text = text();
    let workflow: Value = yaml_serde::from_str(&text).expect("YAML");
    only(&workflow, TOP, "the workflow");
    for (name, job) in workflow["jobs"].as_mapping().expect("jobs") {
        let name = name.as_str().expect("a name");
        only(job, JOB, name);
        for step in job["steps"].as_sequence().expect("steps") {
            only(step, STEP, name);
        }
    }
}

#[test]
fn a_job_waits_for_jobs_that_there_are() {
    let jobs = jobs();
    for (name, job) in &jobs {
        for needed in &job.needs {
            assert!(jobs.iter().any(|(other, _)| other == needed), "{name} needs {needed}");
        }
    }
}

#[test]
fn its_commands_are_ours() {
    let mut seen = Vec::new();
    for line in all_lines() {
        let Some(start) = line.find("cargo ci ") else { continue };
        let command = line[start..].split(')').next().unwrap_or_default();
        // Each expression stands for a word; the shard alone has a form of its own.
        let command = command.replace("${{ matrix.shard }}", "1/13");
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        if let Err(error) = Cli::try_parse_from(&words) {
            panic!("`{command}`: {error}");
        }
        seen.push(words[1].to_owned());
    }
    for command in ["matrix", "test", "soak", "fuzz", "plant", "bench", "merge", "report"] {
        assert!(seen.iter().any(|word| word == command), "no step runs `cargo ci {command}`");
    }
}

#[test]
fn what_it_asks_of_a_job_of_the_matrix_is_there() {
    let tree = crate::workspace::variants().expect("the variants");
    let jobs = crate::bench::plan::jobs(&tree);
    let text = text();
    let asked: Vec<&str> = text
        .split("${{ matrix.")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap_or_default())
        .collect();
    assert!(asked.len() >= 3, "{asked:?}");
    for key in asked {
        assert!(jobs.iter().all(|job| job.contains_key(key)), "no job has `{key}`");
    }
}
