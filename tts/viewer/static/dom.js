// Elements without markup: every word of a model ends in a text node.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) element.style.setProperty(k, v);
    else element.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

// Put these in place of all that was there; lists are opened, nothings left out.
export function put(element, ...children) {
  element.replaceChildren();
  return fill(element, null, children);
}

export const percent = (share, digits = 1) => (share === null || share === undefined ? "?" : `${(100 * share).toFixed(digits)} %`);

// Four digits, or whole ones: 0.1234, 12.34, 1,234, 12.3M.
export function amount(value) {
  if (value === null || value === undefined) return "?";
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(2);
  for (const [least, unit, name] of [[1e12, 1e12, "T"], [1e9, 1e9, "G"], [1e7, 1e6, "M"]]) {
    if (size >= least) return `${Number((value / unit).toPrecision(3))}${name}`;
  }
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(size >= 100 || Number.isInteger(value) ? 4 : 3)));
}

export function seconds(value) {
  if (value === null || value === undefined) return "?";
  if (value < 60) return `${value.toPrecision(3)} s`;
  const minutes = Math.round(value / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Colours that colour-blind readers tell apart (Okabe and Ito), bound to names in their order.
export const palette = (names) => new Map([...new Set(names)].sort().map((name, i) => [name, `c${i % 7}`]));

// A score in [0, 1] as one of ten steps from orange over grey to blue; the number stands beside it.
export const scoreClass = (score) => (score === null || score === undefined ? "score-none" : `score-${Math.max(0, Math.min(9, Math.floor(score * 10)))}`);

export const address = (run, problem, repeat, params) => {
  const parts = ["#/run", run, ...(problem === undefined ? [] : [problem, repeat])];
  const query = new URLSearchParams(params || {}).toString();
  return parts.map((part, i) => (i ? encodeURIComponent(part) : part)).join("/") + (query ? `?${query}` : "");
};

export const shortModel = (model) => String(model).replace(/^.*\/(?=[^/]+\/?$)/, (path) => (path.startsWith("/") ? "" : path));
