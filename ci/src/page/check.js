// Runs in the outer page, once the page is in its frames: writes down what is wrong with it.
// SCHEME is put before it.

const CLOSE = 1.5; // pixels that fonts and rounding may take
const LEAST_TEXT = 10.5, LEAST_CONTRAST = 4.5;

const area = (element) => element.getBoundingClientRect();

function check(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement, wrong = [];
  if (view.innerWidth !== frame.offsetWidth) wrong.push(`the frame is ${view.innerWidth} wide`);
  if (!view.matchMedia(`(prefers-color-scheme: ${SCHEME})`).matches) wrong.push(`the scheme is not ${SCHEME}`);
  if (root.scrollWidth > root.clientWidth) {
    const past = [...page.body.querySelectorAll("*")].filter((element) =>
      !element.closest(".scroll") && area(element).right > root.clientWidth + CLOSE);
    wrong.push(`scrolls sideways: ${root.scrollWidth} (${past[0]?.outerHTML.slice(0, 80)})`);
  }
  for (const { hash } of page.querySelectorAll("nav a")) {
    const section = page.querySelector(hash);
    if (!section) wrong.push(`section ${hash} is missing`);
    else if (section.innerText.trim().split("\n").length < 2) wrong.push(`section ${hash} is empty`);
  }
  const asked = view.performance.getEntriesByType("resource").map((entry) => entry.name);
  if (asked.length > 0) wrong.push(`the page loads ${asked[0]}`);
  const charts = [...page.querySelectorAll(".chart")];
  if (charts.length === 0) wrong.push("there is no chart");
  const first = {}; // of each kind
  for (const chart of charts) {
    const name = chart.getAttribute("aria-label").slice(0, 70);
    checkChart(chart, view, (kind, text) => { first[kind] ??= `${name}: ${text}`; });
  }
  return wrong.concat(Object.values(first)).map((text) => `${frame.width} pixels, ${text}`);
}

function checkChart(chart, view, tell) {
  const outer = area(chart);
  const marks = [...chart.querySelectorAll(".bars path, .points path")].filter((mark) => mark.getBBox().width > 0);
  const expected = JSON.parse(chart.dataset.chart).data.flatMap((trace) =>
    trace.mode === "lines" ? [] : trace.marks.filter(({ x }) => x !== null && x !== 0));
  if (marks.length < expected.length || marks.length === 0) tell("marks", `${marks.length} marks of ${expected.length} are drawn`);
  if (chart.innerHTML.includes("NaN")) tell("number", "something is no number");
  const paper = view.getComputedStyle(chart.ownerDocument.body).backgroundColor;
  const texts = [...chart.querySelectorAll("text")].filter((text) =>
    text.textContent.trim() && area(text).width > 0 && view.getComputedStyle(text).visibility === "visible");
  if (texts.length === 0) tell("text", "no text");
  texts.forEach((text, at) => {
    const said = `“${text.textContent.trim()}”`, style = view.getComputedStyle(text), box = area(text);
    if (parseFloat(style.fontSize) < LEAST_TEXT) tell("size", `${said} is ${style.fontSize} high`);
    const contrast = contrastOf(style.fill, paper);
    if (contrast < LEAST_CONTRAST) tell("contrast", `${said} has a contrast of ${contrast.toFixed(1)}`);
    const room = Math.min(box.left - outer.left, outer.right - box.right, box.top - outer.top, outer.bottom - box.bottom);
    if (room < -CLOSE) tell("room", `${said} is cut off`);
    for (const other of texts.slice(at + 1)) {
      const next = area(other);
      const wide = Math.min(box.right, next.right) - Math.max(box.left, next.left);
      const high = Math.min(box.bottom, next.bottom) - Math.max(box.top, next.top);
      // Lines of text stand closer than their boxes are high.
      if (wide > 2 && high > box.height / 3) tell("overlap", `${said} and “${other.textContent.trim()}” overlap`);
    }
  });
}

// As the guidelines for accessible pages count it.
function contrastOf(...colours) {
  const [one, other] = colours.map((colour) => {
    const [red, green, blue] = colour.match(/[\d.]+/g).map((part) => part / 255)
      .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
  });
  return Math.max(one, other) / Math.min(one, other);
}

addEventListener("load", async () => {
  const frames = [...document.querySelectorAll("iframe")];
  for (const { contentDocument: page } of frames) {
    page.querySelectorAll("details").forEach((details) => { details.open = true; });
  }
  // What was folded is drawn now.
  await new Promise((done) => setTimeout(done, 3000));
  const checked = (frame) => { try { return check(frame); } catch (error) { return [`${error}`]; } };
  const found = JSON.stringify(frames.flatMap(checked));
  // Nothing that the browser would have to escape.
  document.querySelector("pre").textContent =
    found.replace(/[&<>]/g, (letter) => "\\u00" + letter.charCodeAt(0).toString(16));
});
