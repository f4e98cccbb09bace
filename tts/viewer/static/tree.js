// A search tree as it grew: drag and zoom, a slider over its moments, the KV blocks it held.

import { amount, h, put, s, scoreClass } from "./dom.js";
import { written } from "./text.js";

const COLUMN = 176, ROW = 30, BOX = 146, HIGH = 24;
const COUNTS = { steps: "steps", finished: "solutions", peak_kv_blocks: "most KV blocks at once", mean_kv_blocks: "KV blocks held on average", mean_kv_blocks_kept: "after pruning", tree_tokens: "tokens in the tree" };

// Rows of the nodes: leaves one after the other, parents in the middle of theirs.
function layout(nodes) {
  const children = nodes.map(() => []), row = new Array(nodes.length).fill(0);
  for (const node of nodes) if (node.parent >= 0) children[node.parent].push(node.index);
  let leaves = 0;
  const waiting = [[0, false]];
  while (waiting.length) {
    const [index, isDone] = waiting.pop();
    if (!children[index].length) row[index] = leaves++;
    else if (isDone) row[index] = (row[children[index][0]] + row[children[index].at(-1)]) / 2;
    else { waiting.push([index, true]); for (const child of children[index].toReversed()) waiting.push([child, false]); }
  }
  return { children, row, leaves };
}

// What each node looks like after each moment, told as changes; moment 0 has the prompt alone.
function growth(search) {
  const moments = [{ at: 0, text: "the prompt", changes: [] }];
  let held = null;
  for (const event of search.moments) {
    const changes = [];
    let text = "";
    if (event.kind === "step") {
      changes.push([event.tree_node, search.nodes[event.tree_node].state === "finished" ? "finished" : "open"]);
      text = `node ${event.tree_node} scored ${event.reward === null ? "nothing" : event.reward.toFixed(3)}`;
    } else if (event.kind === "prune" && event.nodes) {
      event.nodes.forEach((node) => changes.push([node, "pruned"]));
      text = `given up: ${event.nodes.join(", ")} (${event.reason})`;
    } else if (event.kind === "fail") {
      changes.push([event.tree_node, "failed"]);
      text = `node ${event.tree_node} failed: ${event.reason}`;
    } else if (event.kind === "decide") {
      held = event.kv_blocks_kept;
      text = `decision: ${event.kv_blocks} KV blocks held, ${held} after pruning; continue ${event.expand.map(([node, count]) => `${node}×${count}`).join(", ") || "nothing"}`;
    } else if (event.kind === "recall") text = `node ${event.tree_node} calls to mind: ${event.text}`;
    moments.push({ at: event.seconds, text, changes, before: event.kv_blocks, held });
  }
  return moments;
}

export function searchTree(search, picked) {
  const { nodes } = search, { children, row, leaves } = layout(nodes), moments = growth(search);
  const width = COLUMN * (1 + Math.max(...nodes.map((node) => node.depth))), height = ROW * leaves + 8;
  const boxes = nodes.map((node) => {
    const text = node.parent < 0 ? `prompt, ${node.tokens} tokens` : node.text.replace(/\s+/g, " ");
    const said = text.replace(/\\boxed\{([^{}]*)\}/g, "$1"); // an answer's frame would fill the box
    const short = said.length > 13 ? `${said.slice(0, 12)}…` : said, score = node.reward === null ? "–" : node.reward.toFixed(2);
    return s("g", { class: "treenode", tabindex: "-1", role: "button", "aria-label": node.parent < 0 ? text : `${score} ${short}, node ${node.index}`, transform: `translate(${node.depth * COLUMN + 4} ${row[node.index] * ROW + 4})`, onclick: () => pick(node.index), onkeydown: (event) => move(event, node) },
      s("rect", { class: node.parent < 0 ? "root" : scoreClass(node.reward), width: BOX, height: HIGH, rx: 4 }),
      s("text", { x: 6, y: 16 }, node.parent < 0 ? text : [s("tspan", { class: "strong" }, score), ` ${short}`]),
      s("title", {}, text));
  });
  const links = nodes.filter((node) => node.parent >= 0).map((node) => {
    const x1 = nodes[node.parent].depth * COLUMN + 4 + BOX, y1 = row[node.parent] * ROW + 4 + HIGH / 2, x2 = node.depth * COLUMN + 4, y2 = row[node.index] * ROW + 4 + HIGH / 2;
    return s("path", { class: "link", d: `M${x1} ${y1}C${x1 + 16} ${y1} ${x2 - 16} ${y2} ${x2} ${y2}` });
  });
  const shown = nodes.map((node) => (node.parent < 0 ? [boxes[node.index]] : [boxes[node.index], links[node.index - 1]]));
  const svg = s("svg", { class: "tree", role: "group", "aria-label": `Search tree of ${nodes.length} nodes` }, links, boxes);
  const frame = h("div", { class: "tree-frame" }, svg);
  const detail = h("aside", { class: "tree-detail", "aria-live": "polite" }, h("p", { class: "dim" }, "Choose a node to read it. Colour is its score; drag to move, wheel or pinch to zoom, arrows go from node to node."));
  const said = h("output", { class: "moment" });
  const slider = h("input", { type: "range", min: 0, max: moments.length - 1, value: moments.length - 1, "aria-label": "Moment of the search", oninput: () => set(Number(slider.value)) });
  const play = h("button", { type: "button", onclick: run }, "▶ replay");
  const chart = kvChart(moments);
  let view = null, timer = 0;

  function set(moment) {
    const states = new Map([[0, "open"]]);
    for (const { changes } of moments.slice(0, moment + 1)) {
      for (const [node, state] of changes) states.set(node, state);
    }
    nodes.forEach((node, i) => {
      const state = states.get(i);
      shown[i].forEach((element) => { element.dataset.state = state || "none"; });
    });
    const last = moments[moment];
    said.textContent = `${moment} of ${moments.length - 1} · ${last.at.toFixed(2)} s · ${last.text}`;
    slider.setAttribute("aria-valuetext", said.textContent);
    chart.cursor(moment);
  }

  function run() {
    if (timer) { clearInterval(timer); timer = 0; play.textContent = "▶ replay"; return; }
    let moment = Number(slider.value) >= moments.length - 1 ? 0 : Number(slider.value);
    const step = Math.max(1, Math.round(moments.length / 160));
    play.textContent = "❚❚ pause";
    timer = setInterval(() => {
      if (!slider.isConnected || moment >= moments.length - 1) { clearInterval(timer); timer = 0; play.textContent = "▶ replay"; return; }
      moment = Math.min(moments.length - 1, moment + step);
      slider.value = moment;
      set(moment);
    }, 60);
  }

  function pick(index) {
    boxes.forEach((box, i) => { box.classList.toggle("picked", i === index); box.setAttribute("tabindex", i === index ? "0" : "-1"); });
    const on = new Set();
    for (let at = index; at >= 0; at = nodes[at].parent) on.add(at);
    links.forEach((link, i) => link.classList.toggle("on", on.has(i + 1)));
    const node = nodes[index], path = [...on].reverse().filter((at) => at > 0);
    const facts = [["score", node.reward === null ? "none" : node.reward.toFixed(4)], ["state", node.state], ["tokens", node.tokens], ["KV blocks to its end", node.kv_blocks], ["visits", node.visits], ["mean score below", node.value ?? "–"]];
    put(detail, 
      h("h3", {}, node.parent < 0 ? "Prompt" : `Node ${index}`),
      node.reason ? h("p", { class: "reason" }, `${node.state}: ${node.reason}`) : null,
      h("dl", {}, facts.map(([key, value]) => [h("dt", {}, key), h("dd", {}, String(value))])),
      node.memory ? [h("h4", {}, "Called to mind"), written(node.memory)] : null,
      path.length ? [h("h4", {}, "From the prompt to here"), h("ol", { class: "steps" }, path.map((at) => h("li", {}, h("div", { class: `mark ${scoreClass(nodes[at].reward)}` }, nodes[at].reward === null ? "–" : nodes[at].reward.toFixed(2)), h("div", { class: "what" }, written(nodes[at].text)))))] : null);
  }

  function move(event, node) {
    const mates = node.parent < 0 ? [0] : children[node.parent], at = mates.indexOf(node.index);
    const to = { ArrowLeft: node.parent, ArrowRight: children[node.index][0], ArrowDown: mates[at + 1], ArrowUp: mates[at - 1], Enter: node.index }[event.key];
    if (to === undefined || to < 0) return;
    event.preventDefault();
    pick(to);
    boxes[to].focus();
  }

  function look(x, y, w) {
    const ratio = (frame.clientHeight || 420) / (frame.clientWidth || 800);
    view = { x, y, w: Math.min(Math.max(w, 120), 6 * width + 800) };
    svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.w} ${view.w * ratio}`);
  }

  function zoom(by, atX = 0.5, atY = 0.5) {
    const ratio = frame.clientHeight / frame.clientWidth, w = view.w * by;
    look(view.x + (view.w - w) * atX, view.y + (view.w - w) * ratio * atY, w);
  }

  const fit = () => look(-8, -8, Math.max(width + 16, ((height + 16) * frame.clientWidth) / Math.max(1, frame.clientHeight)));
  frame.addEventListener("wheel", (event) => {
    event.preventDefault();
    const box = frame.getBoundingClientRect();
    zoom(Math.exp(event.deltaY / 500), (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
  }, { passive: false });
  const fingers = new Map();
  frame.addEventListener("pointerdown", (event) => { fingers.set(event.pointerId, event); });
  frame.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 1) {
      if (Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) < 1) return;
      const scale = view.w / frame.clientWidth;
      look(view.x - (event.clientX - before.clientX) * scale, view.y - (event.clientY - before.clientY) * scale, view.w);
    } else {
      const [a, b] = [...fingers.values()], was = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      fingers.set(event.pointerId, event);
      const [c, d] = [...fingers.values()], is = Math.hypot(c.clientX - d.clientX, c.clientY - d.clientY);
      if (is > 0) zoom(was / is);
    }
    fingers.set(event.pointerId, event);
  });
  for (const name of ["pointerup", "pointerleave", "pointercancel"]) frame.addEventListener(name, (event) => fingers.delete(event.pointerId));

  set(moments.length - 1);
  boxes[0].setAttribute("tabindex", "0");
  new ResizeObserver(() => { if (!view) fit(); else look(view.x, view.y, view.w); }).observe(frame);
  if (picked !== undefined) pick(picked);
  return h("section", { class: "search" }, h("h2", {}, search.node),
    h("p", { class: "dim" }, Object.entries(COUNTS).filter(([key]) => search.figures[key] !== undefined).map(([key, name]) => `${amount(search.figures[key])} ${name}`).join(" · ")),
    h("div", { class: "tools" }, play, slider,
      h("button", { type: "button", onclick: () => zoom(0.75), "aria-label": "Nearer" }, "+"), h("button", { type: "button", onclick: () => zoom(1.33), "aria-label": "Farther" }, "−"), h("button", { type: "button", onclick: fit }, "whole")),
    said,
    h("div", { class: "tree-box" }, frame, detail),
    h("p", { class: "legend" }, h("span", {}, h("i", { class: "key score-0" }), "score 0"), h("span", {}, h("i", { class: "key score-4" }), "0.5"), h("span", {}, h("i", { class: "key score-9" }), "1"), h("span", {}, h("i", { class: "key dashed" }), "given up"), h("span", {}, h("i", { class: "key thick" }), "a solution"), h("span", {}, h("i", { class: "key crossed" }), "failed")),
    chart.element);
}

function kvChart(moments) {
  const points = moments.map((moment, i) => ({ i, ...moment })).filter((moment) => moment.before !== undefined && moment.before !== null);
  if (points.length < 2) return { element: null, cursor() {} };
  const W = matchMedia("(max-width: 46rem)").matches ? 420 : 900, H = 120, most = Math.max(...points.map((point) => point.before), 1), last = moments.length - 1;
  const x = (i) => 40 + ((W - 50) * i) / last, y = (value) => H - 20 - ((H - 32) * value) / most;
  const line = (key) => points.map((point, n) => `${n ? "L" : "M"}${x(point.i).toFixed(1)} ${y(point[key]).toFixed(1)}`).join("");
  const now = s("line", { class: "now", y1: 8, y2: H - 20 });
  return {
    element: h("figure", {}, h("figcaption", {}, "KV blocks held at each decision: ", h("span", { class: "c0 word" }, "before"), " and ", h("span", { class: "c1 word" }, "after"), " pruning"),
      s("svg", { class: "plot kv", viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `KV blocks held, ${most} at most` },
        [0, most].map((value) => [s("line", { class: "grid", x1: 40, x2: W - 10, y1: y(value), y2: y(value) }), s("text", { x: 34, y: y(value) + 4, "text-anchor": "end" }, String(value))]),
        s("path", { class: "curve c0", d: line("before") }), s("path", { class: "curve c1", d: line("held") }),
        points.map((point) => s("circle", { class: "c0 full", cx: x(point.i), cy: y(point.before), r: 3 }, s("title", {}, point.text))), now)),
    cursor(moment) { now.setAttribute("x1", x(moment)); now.setAttribute("x2", x(moment)); },
  };
}
