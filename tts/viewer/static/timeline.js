// When each request was asked for and answered, by node.

import { amount, h, s } from "./dom.js";

const WIDTH = 900, LEFT = 110;
const WORDS = { finished: "came", failed: "failed", aborted: "ended before it was done", lost: "in flight when the run was killed", running: "still running", reused: "taken from another run" };

export function timeline(view) {
  const calls = view.calls.filter((call) => call.asked !== undefined || call.came !== undefined);
  if (!calls.length) return h("p", { class: "dim" }, "No request was noted.");
  const marks = view.events.filter((event) => ["score", "vote", "stopped", "decide", "warning", "error", "deadline"].includes(event.kind));
  const end = Math.max(...calls.map((call) => call.came ?? call.asked ?? 0), ...marks.map((event) => event.seconds), 1e-3);
  const x = (value) => LEFT + ((WIDTH - LEFT - 12) * value) / end;
  const nodes = [...new Set([...calls.map((call) => call.node), ...marks.map((event) => event.node)])].filter(Boolean);
  const height = calls.length > 400 ? 3 : calls.length > 120 ? 5 : calls.length > 40 ? 8 : 12;
  let y = 8;
  const rows = [];
  for (const node of nodes) {
    const own = calls.filter((call) => call.node === node).sort((a, b) => (a.asked ?? 0) - (b.asked ?? 0) || (a.came ?? end) - (b.came ?? end));
    const ticks = marks.filter((event) => event.node === node);
    rows.push(s("text", { x: 0, y: y + 11, class: "name" }, node.length > 16 ? `${node.slice(0, 15)}…` : node));
    if (ticks.length) {
      rows.push(ticks.map((event) => s("path", { class: `tick ${event.kind}`, d: `M${x(event.seconds)} ${y}v12` }, s("title", {}, `${event.kind} at ${event.seconds.toFixed(2)} s${event.rule ? `: ${event.rule}` : event.value !== undefined ? `: ${event.value}` : ""}`))));
      y += 16;
    }
    for (const call of own) {
      const from = call.asked ?? call.came, to = call.came ?? end;
      rows.push(s("rect", { class: `call ${call.state}`, x: x(from), y, width: Math.max(1.5, x(to) - x(from)), height: height - 1, rx: 1 },
        s("title", {}, `${WORDS[call.state]}: ${from.toFixed(2)} to ${to.toFixed(2)} s, ${amount(call.tokens)} tokens, ${amount(call.cached)} of ${amount(call.prompt_tokens)} prompt tokens cached${call.finish_reason ? `, ${call.finish_reason}` : ""}`)));
      y += height;
    }
    y += 10;
  }
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000].find((one) => end / one <= 8) || end;
  const grid = [];
  for (let at = 0; at <= end; at += step) grid.push(s("line", { class: "grid", x1: x(at), x2: x(at), y1: 0, y2: y }), s("text", { x: x(at), y: y + 14, "text-anchor": "middle" }, `${Number(at.toPrecision(3))} s`));
  return h("div", {},
    h("p", { class: "legend" }, ["finished", "aborted", "failed", "lost", "running", "reused"].filter((state) => calls.some((call) => call.state === state)).map((state) => h("span", {}, h("i", { class: `key ${state}` }), WORDS[state])), marks.length ? h("span", {}, h("i", { class: "key mark" }), "scores, votes, decisions") : null),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Timeline of requests" }, s("svg", { class: "timeline", viewBox: `0 0 ${WIDTH} ${y + 22}`, role: "img", "aria-label": `${calls.length} requests over ${end.toFixed(1)} seconds` }, grid, rows)));
}
