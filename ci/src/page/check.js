// Runs in the outer page, once the page in the frame is there: writes down what is wrong with it.
// SECTIONS and LABELS are put before it.

const CLOSE = 1.5; // pixels that fonts and rounding may take
const LEAST_TEXT = 10.5;

function check(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, wrong = [];
  const area = (element) => element.getBoundingClientRect();
  const isShown = (element) => area(element).width > 0 && area(element).height > 0;
  const where = (element) => {
    const section = element.closest("section");
    const label = element.closest("[aria-label]")?.getAttribute("aria-label").slice(0, 60);
    return [section?.id, label].filter(Boolean).join(", ") || element.tagName;
  };
  page.querySelectorAll("details").forEach((details) => { details.open = true; });

  const root = page.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const past = [...page.body.querySelectorAll("*")].filter((element) =>
      !element.closest(".scroll") && area(element).right > root.clientWidth + CLOSE);
    wrong.push(`scrolls sideways: ${root.scrollWidth} in ${root.clientWidth} (${past[0]?.outerHTML.slice(0, 80)})`);
  }

  for (const id of SECTIONS) {
    const section = page.getElementById(id);
    if (!section) wrong.push(`section ${id} is missing`);
    else if (section.innerText.trim().split("\n").length < 2) wrong.push(`section ${id} is empty`);
  }

  const figures = [...page.querySelectorAll("figure")];
  let charts = 0;
  for (const figure of figures) {
    const shown = [...figure.querySelectorAll("svg")].filter(isShown);
    if (shown.length !== 1) wrong.push(`${where(figure)}: ${shown.length} charts are shown, not 1`);
    charts += shown.length;
    shown.forEach((svg) => wrong.push(...checkChart(svg, area, where(svg))));
  }
  if (charts === 0) wrong.push("no chart is shown");

  for (const element of page.querySelectorAll("*")) {
    if (/^(script|link|iframe|object|embed|base)$/i.test(element.tagName)) wrong.push(`has a ${element.tagName}`);
    for (const { name, value } of element.attributes) {
      const isLink = /^(src|srcset|href|xlink:href|poster|data|action)$/.test(name);
      if (isLink && !value.startsWith("#")) wrong.push(`${name}="${value.slice(0, 60)}" leaves the page`);
      if (name === "style" && value.includes("url(")) wrong.push(`a style leaves the page: ${value.slice(0, 60)}`);
    }
    if (element.tagName === "STYLE" && /@import|url\(\s*['"]?(https?:)?\/\//i.test(element.textContent)) {
      wrong.push("the style sheet leaves the page");
    }
  }
  return { width: view.innerWidth, wrong: wrong.slice(0, 12) };
}

function checkChart(svg, area, name) {
  const wrong = [], outer = area(svg);
  const texts = [...svg.querySelectorAll("text")].map((text) => ({ text: text.textContent.trim(), box: area(text) }));
  if (texts.length === 0) wrong.push(`${name}: no text`);
  const scale = outer.width / svg.viewBox.baseVal.width;
  for (const text of svg.querySelectorAll("text")) {
    const size = scale * parseFloat(text.getAttribute("font-size"));
    if (size < LEAST_TEXT) wrong.push(`${name}: “${text.textContent.trim()}” is ${size.toFixed(1)} pixels high`);
  }
  // Where labels stand depends on the figures.
  if (!LABELS) return wrong;
  for (const { text, box } of texts) {
    if (box.left < outer.left - CLOSE || box.right > outer.right + CLOSE ||
        box.top < outer.top - CLOSE || box.bottom > outer.bottom + CLOSE) {
      wrong.push(`${name}: “${text}” is cut off`);
    }
  }
  texts.forEach((one, at) => texts.slice(at + 1).forEach((other) => {
    const wide = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
    const high = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
    // Lines of text stand closer than their boxes are high.
    if (wide > 2 && high > one.box.height / 2) wrong.push(`${name}: “${one.text}” and “${other.text}” overlap`);
  }));
  return wrong;
}

addEventListener("load", () => {
  const frame = document.querySelector("iframe");
  const found = JSON.stringify(check(frame));
  frame.remove();
  // Nothing that the browser would have to escape.
  document.querySelector("pre").textContent =
    found.replace(/[&<>]/g, (letter) => "\\u00" + letter.charCodeAt(0).toString(16));
});
