// One run: its figures and its problems, beside those of another run if wanted.

import { ask } from "./api.js";
import { address, amount, h, percent, seconds } from "./dom.js";
import { interval, state } from "./overview.js";
import { parseSort, table } from "./table.js";
import { inline } from "./text.js";

export const verdict = (row) => (row.state !== "finished" ? row.state : row.answer === null ? "no answer" : row.correct === null ? "ungraded" : row.correct ? "right" : "wrong");
const LOOKS = { right: "good", wrong: "bad", "no answer": "warn", running: "live" };
export const badge = (row) => h("span", { class: `badge ${LOOKS[verdict(row)] || ""}` }, verdict(row));
const place = (row) => `${row.id}\n${row.repeat}`;

export function order(problems, params, other) {
  const words = (params.filter || "").toLowerCase().split(/\s+/).filter(Boolean);
  return problems.filter((row) => {
    const beside = other?.get(place(row));
    if (params.status === "differ") { if (!beside || verdict(beside) === verdict(row)) return false; }
    else if (params.status === "lost") { if (row.correct || !row.right) return false; }
    else if (params.status && verdict(row) !== params.status) return false;
    return words.every((word) => `${row.id} ${row.statement} ${row.answer} ${row.reference}`.toLowerCase().includes(word));
  });
}

export async function runPage(page, name) {
  let said = await ask("run", { run: name });
  if (page.gone) return;
  const { run, config } = said;
  const everyRun = (await ask("runs")).runs;
  const others = everyRun.filter((one) => one.id !== name && one.benchmark === run.benchmark && !one.fault);
  let other = null;
  const params = { ...page.params };
  page.crumb(["Runs", "#/"], [`${run.benchmark} ${run.preset}`]);
  page.keys({ up: "#/" });
  const repeats = run.repeats > 1;
  const link = (row) => address(name, row.id, row.repeat, Object.fromEntries(["filter", "status", "sort", "with"].filter((key) => params[key]).map((key) => [key, params[key]])));
  const beside = (row) => other?.get(place(row));
  const only = (has, column) => (said.problems.some(has) ? [column] : []); // no column of nothing
  const columns = () => [
    { name: "problem", class: "main", value: (r) => r.id, cell: (r) => h("a", { href: link(r) }, r.id, repeats ? ` (${r.repeat})` : "") },
    { name: "status", value: verdict, cell: badge },
    ...(other ? [{ name: "other", title: "the other run's status", value: (r) => (beside(r) ? verdict(beside(r)) : null), cell: (r) => (beside(r) ? badge(beside(r)) : "–") }] : []),
    { name: "answer", class: "answer", value: (r) => r.answer, cell: (r) => (r.answer ? h("span", { class: "clip" }, inline(r.answer)) : h("span", { class: "dim" }, r.error || "")) },
    ...(other ? [{ name: "other answer", class: "answer", value: (r) => beside(r)?.answer, cell: (r) => h("span", { class: "clip" }, inline(beside(r)?.answer ?? "")) }] : []),
    { name: "reference", class: "answer", value: (r) => r.reference, cell: (r) => h("span", { class: "clip" }, inline(r.reference ?? "")) },
    { name: "agree", title: "samples that gave the answer, of those with one", number: true, value: (r) => (r.answered ? r.agree / r.answered : null), cell: (r) => (r.answered ? share(r.agree, r.answered) : "") },
    { name: "samples right", title: "how easy the problem is for the model", number: true, value: (r) => (r.samples ? r.right / r.samples : null), cell: (r) => (r.samples ? share(r.right, r.samples) : "") },
    { name: "tokens", number: true, value: (r) => r.cost?.tokens, cell: (r) => (r.cost ? amount(r.cost.tokens) : "") },
    ...only((r) => r.cost?.seconds, { name: "seconds", number: true, value: (r) => r.cost?.seconds, cell: (r) => (r.cost ? amount(r.cost.seconds) : "") }),
    ...only((r) => r.stops?.length, { name: "stopped by", value: (r) => (r.stops || []).join(", "), cell: (r) => (r.stops || []).join(", ") }),
    { name: "statement", class: "statement", value: (r) => r.statement, cell: (r) => h("span", { class: "clip wide" }, inline(r.statement)) },
  ];
  const holder = h("div");
  let list = null;
  const count = h("span", { class: "dim", role: "status" });
  const facts = h("div", { class: "facts" });
  const choices = h("div");
  const filter = h("input", { type: "search", placeholder: "Filter problems", "aria-label": "Filter problems", value: params.filter || "", oninput: () => set({ filter: filter.value }) });
  const status = h("select", { "aria-label": "Status", onchange: () => set({ status: status.value }) },
    [["", "any status"], ["right", "right"], ["wrong", "wrong"], ["lost", "wrong, though a sample was right"], ["no answer", "no answer"], ["running", "running"], ["waiting", "waiting"], ["differ", "runs disagree"]]
      .map(([value, text]) => h("option", { value, selected: value === (params.status || "") }, text)));
  const compare = h("select", { "aria-label": "Compare with", onchange: async () => { await choose(compare.value); set({ with: compare.value }); } },
    h("option", { value: "" }, "no other run"),
    others.map((one) => h("option", { value: one.id, selected: one.id === params.with }, `${one.preset}${one.model === run.model ? "" : `, ${one.model}`}, ${percent(one.accuracy)}`)));

  function set(changes) {
    Object.assign(params, changes);
    page.keep(changes);
    draw();
  }

  async function choose(id) {
    other = id ? new Map((await ask("run", { run: id })).problems.map((row) => [place(row), row])) : null;
    list = null;
  }

  function draw() {
    if (!list) {
      list = table({ columns: columns(), label: "Problems", sort: parseSort(params.sort), onsort: (sort) => { params.sort = sort; page.keep({ sort }); } });
      holder.replaceChildren(list.element);
    }
    const found = order(said.problems, params, other);
    list.show(found);
    count.textContent = `${found.length} of ${said.problems.length}`;
    const now = said.run;
    const pairs = [
      ["problems", state(now)], ["accuracy", interval(now)],
      ["tokens a problem", amount(now.cost?.tokens)], ["time", now.seconds === undefined ? "" : seconds(now.seconds)],
      ["model", h("span", { class: "break" }, now.model)], ["seed", String(now.seed)],
      ...(now.pass_at_k && Object.keys(now.pass_at_k).length > 1 ? [["pass@k", ks(now.pass_at_k)], ["maj@k", ks(now.maj_at_k)]] : []),
    ];
    facts.replaceChildren(h("dl", {}, pairs.map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, value)))));
    choices.replaceChildren(...(said.choices.length ? [chosen(said.choices)] : []));
  }

  if (params.with) await choose(params.with).catch(() => { params.with = ""; });
  page.main.replaceChildren(
    h("h1", {}, `${run.benchmark} `, h("span", { class: "dim" }, run.preset)),
    h("p", { class: "dim" }, config.preset_values?.description || ""),
    facts,
    choices,
    h("div", { class: "tools" }, filter, status, others.length ? h("label", {}, "beside ", compare) : null, count),
    holder,
    h("details", { class: "card" }, h("summary", {}, "Configuration"), h("pre", { class: "code", tabindex: "0" }, JSON.stringify(config, null, 2)), h("p", { class: "dim break" }, run.folder)));
  draw();
  if (run.done < run.planned) page.again(async () => { const next = await ask("run", { run: name }); if (!page.gone) { said = next; draw(); } return next; }, (next) => next.run.done < next.run.planned);
}

// What was chosen for which difficulty, hardest problems first, and what that bought.
function chosen(rows) {
  const points = (row) => (row.accuracy === null ? "?" : `${row.accuracy >= row.first ? "+" : ""}${(100 * (row.accuracy - row.first)).toFixed(1)}`);
  const number = (text) => h("td", { class: "number" }, text);
  const heads = [["first chance", "that the best answer had after the first samples"], ["chosen"], ["problems"], ["one sample", "accuracy of the first sample alone"], ["accuracy"], ["bought", "points of accuracy beyond the first sample"], ["tokens each"]];
  return h("section", { class: "card" }, h("h2", {}, "What was chosen, and what that bought"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Choices" }, h("table", {},
      h("thead", {}, h("tr", {}, heads.map(([name, title], i) => h("th", { scope: "col", title, class: i > 1 ? "number" : null }, name)))),
      h("tbody", {}, rows.map((row, i) => h("tr", {},
        h("td", {}, rows[i - 1]?.fifth === row.fifth ? "" : `${(row.fifth / 5).toFixed(1)} to ${((row.fifth + 1) / 5).toFixed(1)}`), h("td", {}, row.what),
        number(String(row.problems)), number(percent(row.first)), number(percent(row.accuracy)), number(points(row)), number(amount(row.tokens))))))));
}

const ks = (figures) => Object.entries(figures).map(([k, value]) => `${k}: ${percent(value)}`).join(", ");
export const share = (part, whole) => h("span", { class: "share", title: `${part} of ${whole}` }, `${part}/${whole}`, h("meter", { min: 0, max: 1, value: part / whole, "aria-label": `${part} of ${whole}` }));
