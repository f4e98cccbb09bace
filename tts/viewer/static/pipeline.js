// The graph that solved the problem, with how many trajectories went over each edge.

import { ask } from "./api.js";
import { h, put, s } from "./dom.js";

const BOX = 190, GAP = 90, ROW = 74;

export function pipeline(view) {
  const graph = view.pipeline || {}, names = Object.keys(graph);
  if (!names.length) {
    const seen = Object.entries(view.nodes);
    return h("div", {}, h("p", { class: "dim" }, "The run did not note its graph (an earlier version made it). Its nodes:"),
      h("ul", {}, seen.map(([name, node]) => h("li", {}, `${name}: ${node.how || "running"}${node.sent === undefined ? "" : `, sent ${node.sent}`}`))));
  }
  const sources = (name) => [graph[name].from ?? []].flat();
  const column = {};
  const depth = (name) => (column[name] ??= sources(name).length ? 1 + Math.max(...sources(name).map(depth)) : 0);
  names.forEach(depth);
  const filled = {}, place = {};
  for (const name of names) {
    const row = (filled[column[name]] = (filled[column[name]] ?? -1) + 1);
    place[name] = { x: column[name] * (BOX + GAP) + 4, y: row * ROW + 8 };
  }
  const width = (1 + Math.max(...names.map((name) => column[name]))) * (BOX + GAP) - GAP + 90;
  const height = (1 + Math.max(...Object.values(filled))) * ROW + 8;
  const edges = names.flatMap((name) => sources(name).map((source, i) => {
    const from = place[source], to = place[name], sent = view.nodes[source]?.sent, read = view.nodes[name]?.read?.[i];
    const said = read === undefined ? "" : sent === undefined || sent === read ? `${read}` : `${read} of ${sent}`;
    const x1 = from.x + BOX, x2 = to.x, y1 = from.y + 24, y2 = to.y + 24;
    return [s("path", { class: "edge", d: `M${x1} ${y1}C${x1 + GAP / 2} ${y1} ${x2 - GAP / 2} ${y2} ${x2} ${y2}` }),
      s("path", { class: "tip-of-edge", d: `M${x2} ${y2}l-7 -4v8z` }),
      s("text", { x: (x1 + x2) / 2, y: (y1 + y2) / 2 - 6, "text-anchor": "middle" }, said, s("title", {}, "read of sent"))];
  }));
  const out = names.filter((name) => !names.some((other) => sources(other).includes(name)));
  return h("div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Pipeline" },
    s("svg", { class: "graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Pipeline of ${names.join(", ")}` }, edges,
      names.map((name) => {
        const { operator, from, ...parameters } = graph[name], { x, y } = place[name], how = view.nodes[name]?.how;
        return s("g", {}, s("rect", { class: `node ${how || ""}`, x, y, width: BOX, height: 48, rx: 6 }, s("title", {}, JSON.stringify(parameters, null, 1))),
          s("text", { x: x + 10, y: y + 20, class: "name" }, name.slice(0, 24)), s("text", { x: x + 10, y: y + 38, class: "dim" }, `${operator}${how && how !== "end" ? ` · ${how}` : ""}`));
      }),
      out.map((name) => [s("path", { class: "edge", d: `M${place[name].x + BOX} ${place[name].y + 24}h28` }), s("text", { x: place[name].x + BOX + 34, y: place[name].y + 28 }, view.nodes[name]?.sent === undefined ? "out" : `${view.nodes[name].sent} out`)]))),
    parameters(view.run, names));
}

// What each node was set to, and below it what it has by default.
function parameters(run, names) {
  const place = h("div", {}, h("p", { class: "dim" }, "Reading…"));
  ask("parameters", { run }).then(({ parameters: told }) => {
    put(place, names.map((name) => h("section", {}, h("h3", {}, name),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Parameters of ${name}` }, h("table", { class: "plain" },
        h("thead", {}, h("tr", {}, ["parameter", "value", "meaning"].map((head) => h("th", { scope: "col" }, head)))),
        h("tbody", {}, [...told[name]].sort((a, b) => b.is_set - a.is_set).map((one) => h("tr", {},
          h("td", { class: "nowrap" }, one.name),
          h("td", {}, h("code", { class: one.is_set ? null : "dim" }, typeof one.value === "string" ? JSON.stringify(one.value).slice(1, -1) : JSON.stringify(one.value)), one.is_set ? "" : h("span", { class: "dim small" }, " default")),
          h("td", { class: "dim small" }, one.meaning)))))))),
      h("p", { class: "dim small" }, "Defaults are those of the version that shows this page."));
  }, (error) => put(place, h("p", { class: "fault" }, error.message)));
  return place;
}
