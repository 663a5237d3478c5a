//! The best variant from commit to commit, compared with the control cell of each run.

use super::chart::{self, Mark};
use super::number::{or_none, plain, range};
use super::rows::{self, MAIN};
use crate::bench::result::{AgainstParent, CONTROL, Matrix};
use maud::{Markup, html};
use serde_json::json;

/// Most names of commits below the chart.
const NAMES: usize = 4;

pub(super) fn section(run: &Matrix, history: &[Matrix], best: &str) -> Markup {
    let entries = entries(run, history, best);
    let Some((latest, _)) = entries.last() else {
        return html! {
            p.empty {
                "No run has both " code { (best) } " and " code { (CONTROL) }
                " on one of the rows shown here."
            }
        };
    };
    html! {
        p {
            "Cycles per operation of " code { (best) } " in percent of " code { (CONTROL) }
            "'s, commit after commit, with the 95 % interval. The latest is "
            code { (commit(latest)) } ". 100 % is the system's malloc in the same run, and less is \
            faster. So a busy machine moves the points little, but another processor can move them."
        }
        (lines(&entries, best))
    }
}

/// A run, and the difference between the best and the control on each of the main rows.
type Entry<'a> = (&'a Matrix, [Option<AgainstParent>; 2]);

/// All runs from the oldest on; this run too, if it is not among the kept ones.
fn entries<'a>(run: &'a Matrix, history: &'a [Matrix], best: &str) -> Vec<Entry<'a>> {
    let mut runs: Vec<&Matrix> = history.iter().collect();
    if !runs.iter().any(|kept| kept.passport == run.passport) {
        runs.push(run);
    }
    runs.sort_by(|a, b| a.passport.date.cmp(&b.passport.date));
    let change = |run: &Matrix, row| {
        let cell = run.in_row(best, row)?;
        run.against(cell, run.control_for(cell)?).filter(|change| change.percent.is_finite())
    };
    let entries = runs.into_iter().map(|run| (run, MAIN.map(|row| change(run, row))));
    entries.filter(|(_, changes)| changes.iter().any(Option::is_some)).collect()
}

fn commit(run: &Matrix) -> &str {
    run.passport.commit.get(..7).unwrap_or(&run.passport.commit)
}

fn lines(entries: &[Entry<'_>], best: &str) -> Markup {
    let share = |percent: f64| 100.0 + percent;
    let series = |at: usize, colour: &str| {
        let mark = |(n, (run, changes)): (i32, &Entry<'_>)| {
            let change = changes[at]?;
            // A little to the side of the other point, so that no interval hides one.
            let place = Mark::at(f64::from(n) + [-0.04, 0.04][at], share(change.percent));
            let interval = change.interval.map(|ends| ends.map(share));
            let size = format!("{} % ({})", plain(place.y), or_none(interval, range));
            let text = format!("{}: {size}<br>{}", commit(run), run.passport.cpu);
            Some(Mark { interval, text, ..place })
        };
        let marks: Vec<Mark> = (0..).zip(entries).filter_map(mark).collect();
        json!({
            "mode": "lines+markers", "name": rows::title(MAIN[at]), "marks": marks,
            "hovertemplate": "%{text}", "line": { "color": colour }, "marker": { "size": 9 },
        })
    };
    let ends = [-0.5, entries.len() as f64 - 0.5];
    let control = json!({
        "mode": "lines", "name": "the system's malloc", "hoverinfo": "skip",
        "marks": ends.map(|x| Mark::at(x, 100.0)),
        "line": { "color": "--axis", "dash": "dash" },
    });
    // As many names as there is room for, the latest always among them.
    let every = entries.len().div_ceil(NAMES);
    let named: Vec<usize> = (0..entries.len()).rev().step_by(every).collect();
    let names: Vec<&str> = named.iter().map(|n| commit(entries[*n].0)).collect();
    let layout = json!({
        "xaxis": {
            "title": { "text": "commit, the oldest first" }, "tickvals": named, "ticktext": names,
            "range": ends, "showgrid": false, "zeroline": false,
        },
        "yaxis": { "title": { "text": format!("cycles, % of {CONTROL}'s") }, "rangemode": "tozero" },
    });
    let says = format!("Lines: cycles per operation of {best}, % of {CONTROL}'s, by commit");
    chart::figure(&says, 400, vec![series(0, "--ours"), series(1, "--peer"), control], &layout)
}
