// What a model wrote, for reading: mathematics set by KaTeX, code apart, all else as it stands.

import { h } from "./dom.js";

const FENCE = /```([\w+-]*)[^\S\n]*\n([\s\S]*?)(?:\n```|$)/g;
const MATH = /\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\]|\\\(([\s\S]+?)\\\)|\$(?![\s$])([^$\n]*?[^\s\\$])\$(?!\d)|(\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})|`([^`\n]+)`|\*\*([^*\n]+)\*\*/g;
const LONGEST_MATH = 4000;

function math(source, displayMode) {
  const place = h("span", { class: displayMode ? "math block" : "math" });
  if (!window.katex || source.length > LONGEST_MATH) return source;
  try {
    window.katex.render(source, place, { displayMode, throwOnError: true, trust: false, strict: "ignore", maxSize: 20, maxExpand: 300 });
  } catch {
    return h("code", { title: "not valid TeX" }, source);
  }
  return place;
}

// Blank lines beside what stands on lines of its own anyway would be seen twice.
const before = (text) => text.replace(/(?:\n[^\S\n]*)+$/, "");
const after = (text) => text.replace(/^(?:[^\S\n]*\n)+/, "");

function prose(text) {
  const parts = [];
  let end = 0, trim = (part) => part;
  for (const found of text.matchAll(MATH)) {
    const [whole, dollars, brackets, round, dollar, boxed, code, bold] = found;
    const isBlock = dollars !== undefined || brackets !== undefined;
    const part = trim(text.slice(end, found.index));
    parts.push(isBlock ? before(part) : part);
    if (code !== undefined) parts.push(h("code", {}, code));
    else if (bold !== undefined) parts.push(h("strong", {}, prose(bold)));
    else parts.push(math(dollars ?? brackets ?? round ?? dollar ?? boxed, isBlock));
    end = found.index + whole.length;
    trim = isBlock ? after : (rest) => rest;
  }
  return [...parts, trim(text.slice(end))];
}

// One line: an answer, or a step in a list.
export const inline = (text) => prose(String(text ?? ""));

// A whole text: paragraphs and blocks of code.
export function written(text, { raw = false } = {}) {
  text = String(text ?? "");
  if (raw) return h("div", { class: "written raw" }, text);
  const parts = [];
  let end = 0;
  for (const found of text.matchAll(FENCE)) {
    const part = text.slice(end, found.index);
    parts.push(prose(before(end ? after(part) : part)), code(found[2], found[1]));
    end = found.index + found[0].length;
  }
  return h("div", { class: "written" }, parts, prose(end ? after(text.slice(end)) : text));
}

export const code = (text, language = "") => h("pre", { class: "code", tabindex: "0", "aria-label": language ? `code in ${language}` : "code" }, h("code", {}, text));
