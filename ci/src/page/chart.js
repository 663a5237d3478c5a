// Draws the page's charts with Plotly, each from the JSON in its element.
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 600px)");

const axis = {
  automargin: true, gridcolor: "--grid", zerolinecolor: "--axis", linecolor: "--axis", title: { standoff: 8 }, ticklabelstandoff: 4,
};
const LAYOUT = {
  paper_bgcolor: "#0000", plot_bgcolor: "#0000", margin: { l: 8, r: 44, t: 8, b: 8 },
  font: { color: "--ink", size: 12.5, family: "system-ui, sans-serif" },
  legend: { orientation: "h", x: 0, xref: "container", y: 1, yref: "container", yanchor: "top" }, showlegend: true,
  hoverlabel: { bgcolor: "--soft", font: { color: "--ink" } }, hovermode: "closest",
  template: { layout: { xaxis: axis, yaxis: axis } },
  // A finger on a chart moves the page.
  dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
};

// The layout with the present colours, and without a name's second line where there is no room.
function resolved(chart) {
  const style = getComputedStyle(document.documentElement);
  return JSON.parse(JSON.stringify(chart), (_, value) => {
    if (typeof value !== "string") return value;
    if (value.startsWith("--")) return style.getPropertyValue(value).trim();
    return narrow.matches ? value.replace(/<br>.*/, "") : value;
  });
}

// Turns our marks into Plotly's arrays.
function trace({ marks, ...rest }) {
  const of = (key) => marks.map((mark) => mark[key]);
  const middle = rest.type === "bar" ? "x" : "y";
  const distance = (one, other) => typeof one === "number" ? Math.abs(one - other) : null;
  const reach = (end) => marks.map((mark) => distance(mark.interval?.[end], mark[middle]));
  const error = { type: "data", symmetric: false, arrayminus: reach(0), array: reach(1), color: "--ink", thickness: 1.2, width: 4 };
  error.visible = error.array.some((length) => length !== null);
  const bar = { orientation: "h", textposition: "none", hovertemplate: "%{y}" };
  const arrays = { x: of("x"), y: of("y"), base: of("base"), text: of("text"), [`error_${middle}`]: error };
  return { ...(rest.type === "bar" && bar), ...rest, ...arrays };
}

function draw(chart) {
  if (chart.offsetWidth === 0) return; // in a folded part
  const { data, layout } = JSON.parse(chart.dataset.chart), isNew = !chart.data;
  Plotly.react(chart, resolved(data.map(trace)), resolved({ ...LAYOUT, ...layout }), { responsive: true, displayModeBar: false });
  if (isNew) chart.on("plotly_afterplot", () => place(chart));
  place(chart);
}

// Places for a name: above its point, or so far from there, in widths and heights.
const PLACES = [[0, 0], [0, 1], [1, 0.5], [-1, 0.5], [1, 0], [-1, 0], [1, 1], [-1, 1]];

// Moves the names of points to places where they hide nothing; hides a name without such a place.
function place(chart) {
  const names = [...chart.querySelectorAll(".textpoint text")];
  const edge = chart.getBoundingClientRect();
  const meets = (one, other) => one.left < other.right + 4 && other.left < one.right + 4 &&
    one.top < other.bottom && other.top < one.bottom;
  const taken = [...chart.querySelectorAll(".points path, .xtick, .ytick")].map((point) => point.getBoundingClientRect());
  for (const name of names) {
    name.style.translate = "0px";
    const { width, height } = name.getBoundingClientRect();
    const aside = width / 2 + 9, below = height + 12;
    const isFree = ([right, down]) => {
      name.style.translate = `${right * aside}px ${down * below}px`;
      const box = name.getBoundingClientRect();
      return box.left >= edge.left && box.right <= edge.right && !taken.some((other) => meets(box, other));
    };
    const isPlaced = PLACES.some(isFree);
    name.style.visibility = isPlaced ? "visible" : "hidden";
    if (isPlaced) taken.push(name.getBoundingClientRect());
  }
}

const drawAll = (within) => within.querySelectorAll(".chart").forEach(draw);
drawAll(document);
for (const media of [dark, narrow]) media.addEventListener("change", () => drawAll(document));
// The event does not bubble.
addEventListener("toggle", (event) => drawAll(event.target), true);
