//! A chart on the page: Plotly's instructions, as JSON beside the place where it draws.
//!
//! A trace has `marks` in place of Plotly's arrays; `chart.js` turns them into arrays. A colour is a name in the style
//! sheet, since the reader's colour scheme decides its value.

use maud::{Markup, PreEscaped, html};
use serde::Serialize;
use serde_json::{Value, json};

/// Heights of a lane, of a higher one, and of the space above and below all lanes, in pixels.
const LANE: usize = 25;
const HIGH_LANE: usize = 38;
const AROUND: usize = 120;

/// A bar or a point. A value that is no number is not drawn.
#[derive(Clone, Default, Serialize)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    /// Of a bar: its lane.
    pub(crate) y: f64,
    /// Where a bar begins.
    pub(crate) base: f64,
    /// The interval of a bar's length, or of a point's height.
    pub(crate) interval: Option<[f64; 2]>,
    pub(crate) text: String,
}

impl Mark {
    pub(crate) fn at(x: f64, y: f64) -> Self {
        Self { x, y, ..Self::default() }
    }
}

/// A chart of these traces, without those that have no marks.
pub(crate) fn figure(title: &str, height: usize, mut data: Vec<Value>, layout: &Value) -> Markup {
    data.retain(|trace| trace["marks"].as_array().is_some_and(|marks| !marks.is_empty()));
    let marks = data.iter().filter_map(|trace| trace["marks"].as_array()).flatten();
    let texts: Vec<&str> = marks.filter_map(|mark| mark["text"].as_str()).collect();
    let says = format!("{title}: {}", texts.join(" ")).replace("<br>", " ");
    let chart = json!({ "data": data, "layout": layout });
    html! {
        figure.chart role="img" aria-label=(says) style={ "height:" (height) "px" }
            data-chart=(chart) {}
    }
}

/// A chart of lanes, one below the other: lane 0 is at the top, and each has a name of a line or two.
pub(super) fn lanes(title: &str, names: &[String], data: Vec<Value>, mut layout: Value) -> Markup {
    layout["barmode"] = json!("overlay");
    layout["yaxis"] = json!({
        "tickvals": (0..names.len()).collect::<Vec<_>>(), "ticktext": names,
        "range": [names.len() as f64 - 0.5, -0.5], "showgrid": false, "zeroline": false,
    });
    let says = format!("{title}: {}", names.join(" ")).replace("<b>", "").replace("</b>", "");
    let lane = if names.iter().any(|name| name.contains("<br>")) { HIGH_LANE } else { LANE };
    figure(&says, AROUND + lane * names.len(), data, &layout)
}

/// Plotly's script, and the one that calls it. The crate adds a typesetter of formulas, which no chart needs.
pub(crate) fn scripts() -> Markup {
    let sources = plotly::Plot::offline_js_sources();
    let plotly = sources.split_inclusive("</script>").next().unwrap_or_default();
    html! {
        (PreEscaped(plotly))
        script { (PreEscaped(include_str!("chart.js"))) }
    }
}
