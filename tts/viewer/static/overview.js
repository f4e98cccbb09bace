// All runs: what they reached, and what it cost.

import { ask } from "./api.js";
import { address, amount, h, palette, percent, s, seconds, shortModel } from "./dom.js";
import { plot, toldBy } from "./plot.js";
import { parseSort, table } from "./table.js";

export function interval(run) {
  if (run.accuracy === undefined) return "–";
  const [low, high] = run.interval;
  return h("span", { class: "interval" },
    h("b", {}, percent(run.accuracy)),
    s("svg", { viewBox: "0 0 100 12", "aria-hidden": "true", preserveAspectRatio: "none" },
      s("rect", { class: "track", x: 0, y: 5, width: 100, height: 2 }),
      s("rect", { class: "range", x: 100 * low, y: 3, width: Math.max(1, 100 * (high - low)), height: 6 }),
      s("rect", { class: "mean", x: 100 * run.accuracy - 1, y: 0, width: 2, height: 12 })),
    h("span", { class: "dim small" }, `${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}`));
}

export function state(run) {
  if (run.fault) return h("span", { class: "badge bad" }, "unreadable");
  if (run.done >= run.planned) return h("span", { class: "badge" }, `${run.done}`);
  const share = run.planned ? run.done / run.planned : 0;
  return h("span", { class: run.live ? "badge live" : "badge warn", title: `last written ${seconds(run.age)} ago` },
    `${run.live ? "running" : "unfinished"} ${run.done}/${run.planned}`,
    h("progress", { max: 1, value: share, "aria-label": "done" }));
}

// Tokens of different models are no common measure, where a plot would set them side by side.
const differ = (runs) => {
  const told = runs.filter((run) => run.cost);
  return [...new Set(told.map((run) => run.benchmark))]
    .map((name) => told.filter((run) => run.benchmark === name))
    .some((same) => new Set(same.map((run) => run.model)).size > 1 && same.every((run) => run.cost.eflops));
};

export async function overview(page) {
  let { runs, units, unit: wanted } = await ask("runs");
  if (page.gone) return;
  page.crumb(["Runs"]);
  page.keys({});
  let unit = page.params.unit in units ? page.params.unit : wanted ? wanted : differ(runs) ? "eflops" : "tokens";
  const columns = [
    { name: "benchmark", value: (r) => r.benchmark, cell: (r) => r.benchmark },
    { name: "preset", class: "main", value: (r) => r.preset, cell: (r) => [h("a", { href: address(r.id) }, r.preset || r.id), r.fault ? h("p", { class: "fault small" }, r.fault) : null] },
    { name: "model", value: (r) => r.model, cell: (r) => h("span", { class: "clip", title: r.model }, shortModel(r.model || "")) },
    ...(new Set(runs.map((run) => run.seed)).size > 1 ? [{ name: "seed", number: true, value: (r) => r.seed, cell: (r) => String(r.seed ?? "") }] : []),
    { name: "problems", number: true, value: (r) => r.done, cell: (r) => state(r) },
    { name: "accuracy", number: true, value: (r) => r.accuracy, cell: interval },
    { name: "cost", title: "of a problem, in the chosen unit", number: true, value: (r) => r.cost?.[unit], cell: (r) => amount(r.cost?.[unit]) },
    { name: "a right answer", title: "cost divided by accuracy", number: true, value: (r) => (r.accuracy ? (r.cost?.[unit] ?? undefined) / r.accuracy : null), cell: (r) => (r.accuracy && r.cost?.[unit] ? amount(r.cost[unit] / r.accuracy) : "?") },
    { name: "tokens", title: "generated, of the whole run", number: true, value: (r) => r.tokens?.generated, cell: (r) => amount(r.tokens?.generated) },
    { name: "time", number: true, value: (r) => r.seconds, cell: (r) => (r.seconds === undefined ? "" : seconds(r.seconds)) },
    { name: "begun", value: (r) => r.created, cell: (r) => h("span", { class: "nowrap", title: r.created }, (r.created || "").replace("T", " ").slice(5, 16)) },
  ];
  const list = table({ columns, label: "Runs", sort: parseSort(page.params.sort) || { name: "begun", down: true }, onsort: (sort) => page.keep({ sort }) });
  const filter = h("input", { type: "search", placeholder: "Filter runs", "aria-label": "Filter runs", value: page.params.filter || "", oninput: () => { page.keep({ filter: filter.value }); draw(); } });
  const choice = h("select", { "aria-label": "Unit of cost", onchange: () => { unit = choice.value; page.keep({ unit }); draw(); } },
    Object.entries(units).map(([name, text]) => h("option", { value: name, selected: name === unit }, text)));
  const pictures = h("div", { class: "pictures" });
  const count = h("span", { class: "dim", role: "status" });

  function draw() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = runs.filter((run) => words.every((word) => [run.benchmark, run.preset, run.model, run.id].join(" ").toLowerCase().includes(word)));
    const known = runs.filter((run) => run.cost);
    count.textContent = `${found.length} of ${runs.length} runs`;
    list.show(found);
    const benchmarks = [...new Set(found.filter((run) => run.cost).map((run) => run.benchmark))];
    pictures.replaceChildren(...benchmarks.map((benchmark) => {
      const told = toldBy(known.filter((run) => run.benchmark === benchmark));
      return h("section", {}, h("h2", {}, benchmark),
        plot(found.filter((run) => run.benchmark === benchmark && run.cost), unit, units[unit], told, palette(known.map(told))));
    }));
  }

  page.main.replaceChildren(
    h("h1", {}, "Runs"),
    h("div", { class: "tools" }, filter, h("label", {}, "cost in ", choice), count),
    runs.length ? list.element : h("p", {}, "No runs here yet. Make one: ", h("code", {}, "tts eval countdown --limit 20 --preset single")),
    pictures);
  draw();
  page.again(async () => {
    const said = await ask("runs");
    if (!page.gone && JSON.stringify(said.runs.map(({ age, ...run }) => run)) !== JSON.stringify(runs.map(({ age, ...run }) => run))) { runs = said.runs; draw(); }
    return said;
  }, () => true);
}
