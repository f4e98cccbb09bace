// One problem: what was asked, what was answered and why, and everything that happened.

import { ask } from "./api.js";
import { address, amount, h, percent, put, scoreClass, seconds } from "./dom.js";
import { pipeline } from "./pipeline.js";
import { badge, order, share, verdict } from "./run.js";
import { inline, written } from "./text.js";
import { timeline } from "./timeline.js";
import { searchTree } from "./tree.js";

const MOST_BARS = 6;

const isCode = (view) => view.answer_type === "code";

// What a bar shows of an answer: its weight, its best score where that chose, or its samples.
function voteBars(view, pick) {
  const votes = view.answers, weighs = view.is_weighted;
  const lowest = Math.min(0, ...votes.map((one) => one.score ?? 0)), scored = votes.some((one) => one.score !== null);
  const size = (one) => (weighs ? one.weight ?? 0 : scored ? (one.score ?? lowest) - lowest : one.count);
  const shown = (one) => (weighs ? one.weight : one.score);
  const named = (one) => (one.answer === null ? "no answer" : h("span", { class: "clip" }, isCode(view) ? `program #${one.first}` : inline(one.answer)));
  const hidden = votes.length > MOST_BARS + 1 ? votes.slice(MOST_BARS) : [];
  const more = h("button", { type: "button", class: "link small", onclick: () => { body.querySelectorAll("tr").forEach((row) => { row.hidden = false; }); more.parentElement.parentElement.remove(); } }, `${hidden.length} more answers`);
  const most = Math.max(...votes.map(size), 1e-9);
  const body = h("tbody", {}, votes.map(bar), hidden.length ? h("tr", {}, h("td", { colspan: 4 }, more)) : null);
  return h("table", { class: "votes" },
    h("caption", {}, weighs ? "Answers by weight" : scored ? `Answers by their best ${view.chosen_by}` : "Answers by number of samples"),
    body);
  function bar(one) {
    return h("tr", { class: one.chosen ? "chosen" : null, hidden: hidden.includes(one) && !one.chosen },
      h("th", { scope: "row" }, h("button", { type: "button", class: "link", title: "show these attempts", onclick: () => pick(one.key) }, named(one))),
      h("td", { class: "bar" }, h("span", { class: `fill ${one.correct ? "good" : "bad"}`, style: { width: `${(100 * size(one)) / most}%` } })),
      h("td", { class: "number" }, weighs || scored ? [shown(one) === null ? "–" : String(Number(shown(one).toPrecision(3))), h("span", { class: "dim", title: "samples" }, ` · ${one.count}`)] : String(one.count)),
      h("td", {}, one.answer === null ? "" : h("span", { class: `badge ${one.correct ? "good" : "bad"}` }, one.correct ? "right" : "wrong"), one.chosen ? h("span", { class: "badge live" }, "chosen") : null));
  }
}

// What a problem took; what the engine did not count is left out.
function costs({ usage, seconds: took }) {
  const calls = `${amount(usage.calls)} ${usage.calls === 1 ? "call" : "calls"}`, known = (value) => value !== null && value !== undefined;
  return [
    known(usage.generated_tokens) ? `${amount(usage.generated_tokens)} tokens in ${calls}${known(usage.wasted_tokens) ? `, ${amount(usage.wasted_tokens)} of them wasted` : ""}` : calls,
    known(took) ? seconds(took) : "",
    usage.prompt_tokens && known(usage.cached_tokens) ? `${percent(usage.cached_tokens / usage.prompt_tokens, 0)} of the prompt tokens from the cache` : "",
  ].filter(Boolean).join("; ");
}

function stepList(attempt, pickNode, code) {
  if (attempt.steps.every((step) => !step.text)) {
    return h("p", { class: "strip" }, code ? "Tests: " : "Steps: ", attempt.steps.map((step) => score(step.score)));
  }
  return h("ol", { class: "steps" }, attempt.steps.map((step) => h("li", {},
    h("div", { class: `mark ${scoreClass(step.score)}` }, step.score === null ? "–" : step.score.toFixed(2)),
    h("div", { class: "what" }, written(step.text), step.tree_node !== undefined && pickNode ? h("button", { type: "button", class: "link small", onclick: () => pickNode(step.tree_node) }, `node ${step.tree_node} of the tree`) : null))));
}

export const score = (value, name = "", shade = value) => h("span", { class: `score ${scoreClass(shade)}`, title: name }, name ? `${name} ` : "", value === null || value === undefined ? "–" : value.toFixed(3));

// Scores that are no shares of one are coloured by their place between the least and the best.
function shades(attempts) {
  const found = {};
  for (const [name, value] of attempts.flatMap((one) => Object.entries(one.scores || {}))) if (value !== null) (found[name] ??= []).push(value);
  return (name, value) => {
    const low = Math.min(...found[name] || [0]), high = Math.max(...found[name] || [1]);
    return value === null || (low >= 0 && high <= 1) ? value : high > low ? (value - low) / (high - low) : 0.5;
  };
}

function attemptCard(attempt, number, { open, raw, code, pickNode, shade }) {
  const title = h("summary", {},
    h("span", { class: "dim number" }, `#${number}`),
    attempt.correct === undefined ? null : h("span", { class: `badge ${attempt.answer === null ? "warn" : attempt.correct ? "good" : "bad"}` }, attempt.answer === null ? "no answer" : attempt.correct ? "right" : "wrong"),
    h("span", { class: "clip" }, code ? "a program" : inline(attempt.answer ?? "")),
    Object.entries(attempt.scores || {}).map(([name, value]) => score(value, name, shade(name, value))),
    h("span", { class: "grow" }),
    h("span", { class: "dim small" }, [attempt.tokens !== undefined && attempt.tokens !== null ? `${amount(attempt.tokens)} tokens` : "", attempt.finish_reason && attempt.finish_reason !== "stop" ? attempt.finish_reason : "", attempt.is_independent === false ? "in view of others" : ""].filter(Boolean).join(" · ")));
  const body = h("div", { class: "body" });
  const card = h("details", { class: "card attempt", open, id: `attempt-${number}` }, title, body);
  const fill = () => {
    if (body.childElementCount || !card.open) return;
    body.append(
      attempt.thought ? h("details", { class: "thought" }, h("summary", {}, `Thought, ${amount(attempt.thought.length)} characters`), written(attempt.thought, { raw })) : "",
      attempt.steps && !raw ? stepList(attempt, pickNode, code) : "",
      attempt.steps && attempt.steps.some((step) => step.text) && !raw ? "" : written(attempt.text || (attempt.steps || []).map((step) => step.text).join("\n\n") || "The run holds no text of this attempt.", { raw }),
      h("p", { class: "dim small break" }, `${attempt.id} · node ${attempt.node} · seed ${attempt.seed}`));
  };
  card.addEventListener("toggle", fill);
  fill();
  return card;
}

function attempts(view, page, chosenClass, pickNode) {
  const code = isCode(view), keyOf = (one) => (one.answer === null || one.answer === undefined ? null : one.answer_class ?? one.answer);
  let only = chosenClass, raw = false, sort = "drawn";
  const holder = h("div"), shade = shades(view.attempts);
  const scorers = [...new Set(view.attempts.flatMap((one) => Object.keys(one.scores || {})))];
  const pick = h("select", { "aria-label": "Order", onchange: () => { sort = pick.value; draw(); } },
    [["drawn", "as drawn"], ["tokens", "longest first"], ...scorers.map((name) => [name, `best by ${name}`])].map(([value, text]) => h("option", { value }, text)));
  const all = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => { only = undefined; draw(); } }, "all answers");
  const box = h("input", { type: "checkbox", onchange: () => { raw = box.checked; draw(); } });
  const wanted = page.params.attempt ? Number(page.params.attempt) : null;

  function draw() {
    let list = view.attempts.map((attempt, i) => [attempt, i]);
    if (only !== undefined) list = list.filter(([one]) => keyOf(one) === only);
    if (sort !== "drawn") list.sort(([a], [b]) => (sort === "tokens" ? (b.tokens ?? 0) - (a.tokens ?? 0) : (b.scores?.[sort] ?? -Infinity) - (a.scores?.[sort] ?? -Infinity)));
    all.hidden = only === undefined;
    put(holder, list.map(([attempt, i], place) => {
      const card = attemptCard(attempt, i, { open: wanted === null || only !== undefined ? place === 0 : i === wanted, raw, code, pickNode, shade });
      card.addEventListener("toggle", () => { if (card.open) page.keep({ attempt: String(i) }); });
      return card;
    }));
    if (wanted !== null) holder.querySelector(`#attempt-${wanted}`)?.scrollIntoView({ block: "center" });
  }
  draw();
  return h("div", {}, h("div", { class: "tools" }, pick, h("label", {}, box, " as written"), all,
    h("button", { type: "button", class: "quiet", onclick: () => holder.querySelectorAll(":scope > details").forEach((one) => { one.open = true; }) }, "open all")), holder);
}

// What was written to a prompt; what is an attempt is read there.
function writtenTo(prompt, pickAttempt) {
  if (!prompt.written.length) return null;
  const those = prompt.written.filter((one) => one.attempt !== undefined).sort((a, b) => a.attempt - b.attempt);
  const others = prompt.written.filter((one) => one.attempt === undefined);
  return [h("h3", {}, "What was written"),
    those.length ? h("p", { class: "links" }, those.length === 1 ? "Attempt " : "Attempts ", those.map((one) => [h("button", { type: "button", class: "link", onclick: () => pickAttempt(one.attempt) }, `#${one.attempt}`), " "])) : null,
    others.map((one, i) => h("details", { open: others.length === 1 },
      h("summary", {}, `${others.length > 1 ? `${i + 1}: ` : ""}${one.tokens === null || one.tokens === undefined ? "" : `${amount(one.tokens)} tokens`}${one.finish_reason && one.finish_reason !== "stop" ? ` · ${one.finish_reason}` : ""} · seed ${one.seed}`),
      h("pre", { class: "code", tabindex: "0" }, one.text)))];
}

function promptPane(view, pickAttempt) {
  const pane = h("div", {}, h("p", { class: "dim" }, "Reading…"));
  ask("prompts", { run: view.run, problem: view.problem, repeat: view.repeat }).then(({ prompts }) => {
    put(pane, prompts.map((prompt, i) => h("details", { class: "card", open: i === 0 },
      h("summary", {}, h("span", {}, prompt.node), h("span", { class: "grow" }), h("span", { class: "dim small" }, [prompt.tokens ? `${amount(prompt.tokens)} tokens` : "", prompt.written.length > 1 ? `${prompt.written.length} completions` : ""].filter(Boolean).join(" · "))),
      h("div", { class: "body" },
        prompt.exact !== undefined ? [h("h3", {}, "As the model read it, special tokens included"), h("pre", { class: "code", tabindex: "0" }, prompt.exact)] : null,
        prompt.messages ? h("details", { open: prompt.exact === undefined }, h("summary", {}, "As it was sent"),
          prompt.messages.map((turn) => h("section", {}, h("h3", {}, turn.role), h("pre", { class: "code", tabindex: "0" }, turn.content))),
          prompt.beginning ? [h("h3", {}, "The answer begins with"), h("pre", { class: "code", tabindex: "0" }, prompt.beginning)] : null) : null,
        prompt.text ? [h("h3", {}, "As it was sent"), h("pre", { class: "code", tabindex: "0" }, prompt.text)] : null,
        prompt.exact === undefined && !prompt.messages && !prompt.text ? h("p", { class: "dim" }, "The run holds its token ids alone, and the model's tokenizer is not on this machine.") : null,
        writtenTo(prompt, pickAttempt)))));
    if (!prompts.length) put(pane, h("p", { class: "dim" }, "Nothing was asked in this run: its samples come from another."));
  }, (error) => put(pane, h("p", { class: "fault" }, error.message)));
  return pane;
}

function eventPane(view) {
  const rows = view.events.map(({ seconds: at, kind, node, ...rest }) => h("tr", {}, h("td", { class: "number" }, at.toFixed(3)), h("td", {}, kind), h("td", {}, node), h("td", { class: "break small" }, Object.keys(rest).length ? JSON.stringify(rest) : "")));
  return rows.length ? h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Events" }, h("table", { class: "plain" },
    h("thead", {}, h("tr", {}, ["seconds", "kind", "node", "details"].map((head) => h("th", { scope: "col" }, head)))), h("tbody", {}, rows)))
    : h("p", { class: "dim" }, "The trace is written when the problem is finished.");
}

function tabs(page, panes) {
  const holder = h("div", { role: "tabpanel", id: "pane", tabindex: "-1" });
  const buttons = panes.map(([name, title]) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "pane", onclick: () => open(name), onkeydown: step }, title));
  let now = "";
  function step(event) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const next = panes[(panes.findIndex(([name]) => name === now) + move + panes.length) % panes.length][0];
    open(next);
    buttons.find((button) => button.id === `tab-${next}`).focus();
  }
  function open(name, ...told) {
    const pane = panes.find(([one]) => one === name) || panes[0];
    now = pane[0];
    page.keep({ tab: pane === panes[0] ? "" : now });
    page.params.tab = now;  // a running problem is drawn anew
    buttons.forEach((button) => { const is = button.id === `tab-${now}`; button.setAttribute("aria-selected", String(is)); button.tabIndex = is ? 0 : -1; });
    holder.setAttribute("aria-labelledby", `tab-${now}`);
    put(holder, pane[2](...told));
  }
  open(page.params.tab);
  return { element: [h("div", { role: "tablist", class: "tabs", "aria-label": "Parts" }, buttons), holder], open };
}

export async function problemPage(page, name, id, repeat) {
  const query = { run: name, problem: id, repeat };
  let [view, said] = await Promise.all([ask("problem", query), ask("run", { run: name })]);
  if (page.gone) return;
  const kept = Object.fromEntries(["filter", "status", "sort", "with"].filter((key) => page.params[key]).map((key) => [key, page.params[key]]));
  let other = null;
  if (kept.with) other = new Map((await ask("run", { run: kept.with })).problems.map((row) => [`${row.id}\n${row.repeat}`, row]));
  const list = order(said.problems, kept, other);
  const here = list.findIndex((row) => row.id === id && String(row.repeat) === String(repeat));
  const go = (row) => row && address(name, row.id, row.repeat, { ...kept, ...(page.params.tab ? { tab: page.params.tab } : {}) });
  const up = address(name, undefined, undefined, kept), next = go(list[here + 1]), previous = here > 0 ? go(list[here - 1]) : null;
  page.crumb(["Runs", "#/"], [`${said.run.benchmark} ${said.run.preset}`, up], [id]);
  page.keys({ up, next, previous });

  function draw() {
    const record = view.record, votes = view.answers;
    const row = record ? { state: "finished", answer: record.answer, correct: record.correct } : { state: "running" };
    let picked;
    const pickNode = view.searches.length ? (node) => { picked = node; pages.open("tree"); } : null;
    const panes = [
      ["attempts", `Attempts ${view.attempts.length}`, (key) => attempts(view, page, key, pickNode)],
      ...(view.searches.length ? [["tree", "Search tree", () => { const found = h("div", {}, view.searches.map((search) => searchTree(search, picked))); picked = undefined; return found; }]] : []),
      ["timeline", "Timeline", () => timeline(view)],
      ["pipeline", "Pipeline", () => pipeline(view)],
      ["prompt", "Prompts", () => promptPane(view, (number) => { page.params.attempt = String(number); pages.open("attempts"); })],
      ["events", "Events", () => eventPane(view)],
    ];
    const pages = tabs(page, panes);
    put(page.main, 
      h("div", { class: "heading" }, h("h1", {}, id, view.repeats > 1 ? h("span", { class: "dim" }, ` repeat ${view.repeat}`) : ""), h("span", { class: "grow" }),
        h("nav", { "aria-label": "Problems" }, previous ? h("a", { class: "button", href: previous, title: "k" }, "← previous") : null, h("span", { class: "dim small" }, here >= 0 ? ` ${here + 1} of ${list.length} ` : ""), next ? h("a", { class: "button", href: next, title: "j" }, "next →") : null)),
      h("div", { class: "two" },
        h("section", { class: "card body" }, h("h2", {}, "Problem"),
          view.statement ? written(view.statement) : view.messages.map((turn) => h("div", {}, h("h3", {}, turn.role), written(turn.content))),
          view.metadata?.solution ? h("details", {}, h("summary", {}, "Reference solution"), written(view.metadata.solution)) : null),
        h("section", { class: "card body" }, h("h2", {}, "Outcome"),
          h("p", { class: "outcome" }, badge(row), " ", record?.answer !== null && record?.answer !== undefined && !isCode(view) ? h("b", {}, inline(record.answer)) : "", view.reference && !isCode(view) ? h("span", { class: "dim" }, " reference ", inline(view.reference)) : ""),
          h("ul", { class: "why" }, view.why.map((line) => h("li", {}, line))),
          votes.length > 1 || view.attempts.length > 1 ? voteBars(view, (key) => { pages.open("attempts", key); }) : null,
          record ? h("p", { class: "dim small" }, costs(record)) : null)),
      pages.element);
  }
  draw();
  if (!view.record) page.again(async () => { const fresh = await ask("problem", query); if (!page.gone && (fresh.attempts.length !== view.attempts.length || fresh.record)) { view = fresh; draw(); } return fresh; }, (fresh) => !fresh.record);
}
