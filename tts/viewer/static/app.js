// The address decides what is shown: #/ runs, #/run/NAME its problems, #/run/NAME/ID/REPEAT one.

import { isOneFile } from "./api.js";
import { h } from "./dom.js";
import { overview } from "./overview.js";
import { problemPage } from "./problem.js";
import { runPage } from "./run.js";

const THEMES = ["auto", "light", "dark"];
const KEYS = [
  ["j, k", "next and previous problem"],
  ["u", "up: from a problem to its run, from a run to all"],
  ["/", "filter"],
  ["t", "light, dark, or as the system has it"],
  ["?", "these keys"],
];

const main = h("main", { id: "main", tabindex: "-1" });
const crumbs = h("nav", { class: "crumbs", "aria-label": "Where you are" });
const theme = h("button", { type: "button", class: "quiet", onclick: nextTheme, title: "t" });
const help = h("dialog", { "aria-label": "Keys" },
  h("h2", {}, "Keys"),
  h("dl", { class: "keys" }, KEYS.map(([key, what]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, what)])),
  h("form", { method: "dialog" }, h("button", {}, "Close")));
let leave = () => {};
let shown = null; // where keys lead from the page in view, by key; none while a page loads
let pressed = []; // what was typed meanwhile

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  theme.textContent = { auto: "◐ auto", light: "☀ light", dark: "☾ dark" }[name];
  theme.setAttribute("aria-label", `Theme: ${name}`);
  try { localStorage.setItem("tts-theme", name); } catch { /* a page of one file may not keep it */ }
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
}

function parse(hash) {
  const [path, query] = hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  return { parts, params: Object.fromEntries(new URLSearchParams(query || "")) };
}

async function show() {
  leave();
  const { parts, params } = parse(location.hash);
  const { tab, attempt } = params; // as asked for: pages note there what they show
  const state = { gone: false, timers: [] };
  leave = () => { state.gone = true; state.timers.forEach(clearTimeout); };
  const page = {
    main,
    params,
    // Put something into the address without going anywhere.
    keep(changes) {
      const now = parse(location.hash);
      const all = { ...now.params, ...changes };
      const kept = Object.entries(all).filter(([, value]) => value !== "" && value !== null && value !== undefined);
      const query = new URLSearchParams(kept).toString();
      history.replaceState(null, "", `#/${now.parts.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`);
    },
    crumb(...links) {
      crumbs.replaceChildren(...links.flatMap(([text, href], i) => [
        i ? h("span", { "aria-hidden": "true" }, "/") : "",
        href ? h("a", { href }, text) : h("span", { "aria-current": "page" }, text),
      ]));
      document.title = `${links.map(([text]) => text).at(-1)} · tts`;
    },
    keys({ up, next, previous }) { shown = { u: up, j: next, k: previous }; go(pressed.shift()); },
    // Ask again and again while something goes on, the more seldom the longer an answer takes.
    again(work, isGoingOn) {
      const tick = async (pause) => {
        if (state.gone) return;
        const begun = performance.now();
        const goes = document.hidden ? true : await work().then(isGoingOn, () => true);
        if (goes) state.timers.push(setTimeout(tick, Math.max(2000, 10 * (performance.now() - begun))));
      };
      if (!isOneFile) state.timers.push(setTimeout(tick, 2000));
    },
    get gone() { return state.gone; },
  };
  shown = null;
  main.replaceChildren(h("p", { class: "dim", role: "status" }, "Reading…"));
  try {
    if (parts[0] === "run" && parts.length >= 3) await problemPage(page, parts[1], parts[2], parts[3] || "0");
    else if (parts[0] === "run" && parts.length === 2) await runPage(page, parts[1]);
    else await overview(page);
  } catch (error) {
    if (!state.gone) {
      page.keys({});
      main.replaceChildren(h("p", { class: "fault", role: "alert" }, error.message));
    }
  }
  if (!state.gone && !attempt) {
    if (tab) main.querySelector("[role=tablist]")?.scrollIntoView({ block: "start" });
    else window.scrollTo(0, 0);
  }
}

function go(key) {
  if (!shown[key]) pressed = [];
  else [location.hash, shown] = [shown[key], null];
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const filter = main.querySelector("input[type=search]");
  if (event.key === "?") help.showModal();
  else if (event.key === "t") nextTheme();
  else if (event.key === "/" && filter) { event.preventDefault(); filter.focus(); }
  else if (shown) go(event.key);
  else if (["u", "j", "k"].includes(event.key) && !event.repeat) pressed.push(event.key);
}

let kept = "auto";
try { kept = localStorage.getItem("tts-theme") || "auto"; } catch { /* as above */ }
setTheme(THEMES.includes(kept) ? kept : "auto");
document.getElementById("app").replaceChildren(
  h("a", { class: "skip", href: "#main", onclick: (e) => { e.preventDefault(); main.focus(); } }, "To the content"),
  h("header", {}, crumbs, h("span", { class: "grow" }), theme,
    h("button", { type: "button", class: "quiet", onclick: () => help.showModal(), "aria-label": "Keys" }, "?")),
  main, help);
window.addEventListener("hashchange", show);
window.addEventListener("keydown", onKey);
show();
