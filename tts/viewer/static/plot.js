// Accuracy against cost: a point for each run with its interval, its curve of smaller votes.

import { address, amount, h, percent, s, shortModel } from "./dom.js";

const HEIGHT = 380, LEFT = 52, RIGHT = 150, TOP = 16, BOTTOM = 44;
const PARALLEL = ["seconds", "sequential", "joules"]; // k samples at once do not cost k times one

function ticks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found.length > 7 ? found.filter((value) => /^1/.test(value.toExponential())) : found;
}

// Move labels apart, so that none hides another.
function spread(labels, gap) {
  labels.sort((a, b) => a.y - b.y);
  for (let i = 1; i < labels.length; i++) labels[i].at = Math.max(labels[i].at, labels[i - 1].at + gap);
  const over = labels.length ? Math.max(0, labels.at(-1).at - (HEIGHT - BOTTOM)) : 0;
  if (over) for (let i = labels.length - 1; i >= 0; i--) {
    const most = i === labels.length - 1 ? HEIGHT - BOTTOM : labels[i + 1].at - gap;
    labels[i].at = Math.min(labels[i].at, most);
  }
}

function curve(run, unit) {
  const points = Object.entries(run.maj_at_k || {}), cost = run.cost[unit];
  if (points.length < 2 || !cost || PARALLEL.includes(unit)) return [];
  const each = (cost * run.done) / run.samples;
  return points.map(([k, accuracy]) => ({ x: k * each, y: accuracy, k }));
}

// What runs are told apart by: their presets, or their models where several have one preset.
export const toldBy = (runs) => (new Set(runs.map((run) => run.preset)).size === 1 && new Set(runs.map((run) => run.model)).size > 1 ? (run) => shortModel(run.model) : (run) => run.preset);

export function plot(runs, unit, label, told, colours) {
  const known = runs.filter((run) => run.cost && run.cost[unit]);
  if (!known.length) return h("p", { class: "dim" }, `No run knows its cost in ${unit}.`);
  const WIDTH = matchMedia("(max-width: 46rem)").matches ? 420 : 760; // letters stay readable
  const curves = new Map(known.map((run) => [run, curve(run, unit)]));
  const xs = known.flatMap((run) => [run.cost[unit], ...curves.get(run).map((p) => p.x)]);
  const ys = known.flatMap((run) => [run.interval[0], run.interval[1], ...curves.get(run).map((p) => p.y)]);
  const lowX = Math.min(...xs) / 1.25, highX = Math.max(...xs) * 1.25;
  const lowY = Math.max(0, Math.min(...ys) - 0.03), highY = Math.min(1, Math.max(...ys) + 0.03);
  const x = (value) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log(value / lowX)) / Math.log(highX / lowX);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * (value - lowY)) / (highY - lowY || 1);
  const tip = h("div", { class: "tip", hidden: true, role: "status" });
  const say = (run) => () => {
    tip.hidden = false;
    tip.textContent = `${run.preset}, ${run.model}: ${percent(run.accuracy)} [${percent(run.interval[0])}, ${percent(run.interval[1])}] at ${amount(run.cost[unit])} ${label}${run.done < run.planned ? `; unfinished, ${run.done} of ${run.planned}` : ""}`;
  };
  const hide = () => { tip.hidden = true; };
  const step = (highY - lowY) > 0.5 ? 0.2 : (highY - lowY) > 0.2 ? 0.1 : 0.05;
  const rows = [];
  for (let value = Math.ceil(lowY / step) * step; value <= highY + 1e-9; value += step) rows.push(value);
  const several = new Set(known.map((run) => run.model)).size > 1 && known.some((run) => told(run) === run.preset);
  const labels = known.map((run) => ({ run, y: y(run.accuracy), at: y(run.accuracy) }));
  spread(labels, 15);
  // Points in one place become rings around each other, so that none hides another.
  const radius = new Map();
  known.forEach((run, i) => radius.set(run, 6 + 4 * known.slice(0, i).filter((other) => Math.hypot(x(run.cost[unit]) - x(other.cost[unit]), y(run.accuracy) - y(other.accuracy)) < 6).length));
  const edge = WIDTH - RIGHT + 8;
  const svg = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot", role: "group", "aria-label": `Accuracy against ${label}` },
    rows.map((value) => [
      s("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value) }),
      s("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, `${Math.round(100 * value)} %`)]),
    ticks(lowX, highX).map((value) => [
      s("line", { class: "grid", x1: x(value), x2: x(value), y1: TOP, y2: HEIGHT - BOTTOM }),
      s("text", { x: x(value), y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, amount(value))]),
    s("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, label),
    known.map((run) => {
      const points = curves.get(run);
      return points.length ? s("path", { class: `curve ${colours.get(told(run))}`, d: points.map((p, i) => `${i ? "L" : "M"}${x(p.x).toFixed(1)} ${y(p.y).toFixed(1)}`).join("") },
        s("title", {}, `${run.preset}: votes of ${points[0].k} to ${points.at(-1).k} of its samples`)) : null;
    }),
    labels.map(({ run, y: from, at }) => s("path", { class: `leader ${colours.get(told(run))}`, d: `M${x(run.cost[unit]).toFixed(1)} ${from.toFixed(1)}L${edge - 4} ${at.toFixed(1)}` })),
    labels.map(({ run, at }) => {
      const px = x(run.cost[unit]), name = several ? `${run.preset}, ${run.model.split("/").at(-1)}` : told(run);
      return s("a", { href: address(run.id), class: `point ${colours.get(told(run))}`, "aria-label": `${run.preset}: ${percent(run.accuracy)}`, onmouseenter: say(run), onfocus: say(run), onmouseleave: hide, onblur: hide },
        s("path", { class: "whisker", d: `M${px} ${y(run.interval[0])}V${y(run.interval[1])}M${px - 4} ${y(run.interval[0])}h8M${px - 4} ${y(run.interval[1])}h8` }),
        s("circle", { cx: px, cy: y(run.accuracy), r: radius.get(run), class: run.done < run.planned ? "hollow" : radius.get(run) > 6 ? "ring" : "full" }),
        s("text", { x: edge, y: at + 4 }, name.length > 22 ? `${name.slice(0, 21)}…` : name));
    }));
  const left = runs.filter((run) => !(run.cost && run.cost[unit])).map((run) => run.preset);
  return h("div", { class: "plot-box" }, svg, tip,
    h("p", { class: "dim small" }, "Bars: 95 % intervals. Lines: a vote over fewer of the run's samples. Hollow: unfinished. A ring: another point lies within.",
      left.length ? ` Left out, cost not known: ${left.join(", ")}.` : ""));
}
