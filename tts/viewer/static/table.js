// A table that sorts by its heads and draws its rows as they come into view.

import { h } from "./dom.js";

const CHUNK = 150;

// columns: {name, title, value: row -> what sorts, cell: row -> children, number, asc}
// Returns {element, show(rows)}; `link` gives the address that a row leads to.
export function table({ columns, label, sort, onsort }) {
  let rows = [], drawn = 0, order = { ...sort };
  const body = h("tbody");
  const heads = columns.map((column) => h("th", { scope: "col", class: column.number ? "number" : null },
    h("button", { type: "button", class: "head", title: column.title, onclick: () => by(column) }, column.name)));
  const more = h("div", { class: "more", "aria-hidden": "true" });
  const element = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", {}, h("thead", {}, h("tr", {}, heads)), body), more);

  function by(column) {
    order = { name: column.name, down: order.name === column.name ? !order.down : Boolean(column.number) };
    onsort?.(`${order.down ? "-" : ""}${order.name}`);
    draw();
  }

  function sorted() {
    const column = columns.find((one) => one.name === order.name);
    if (!column) return rows;
    const sign = order.down ? -1 : 1;
    const keyed = rows.map((row, i) => [column.value(row), i, row]);
    const missing = (value) => value === null || value === undefined || value === "";
    keyed.sort(([a, i], [b, j]) => {
      if (missing(a) || missing(b)) return missing(a) - missing(b) || i - j;
      return (a < b ? -sign : a > b ? sign : 0) || i - j;
    });
    return keyed.map(([, , row]) => row);
  }

  let list = [];
  function add() {
    const part = list.slice(drawn, drawn + CHUNK);
    drawn += part.length;
    body.append(...part.map((row) => h("tr", {}, columns.map((column) =>
      h("td", { class: column.number ? "number" : column.class, "data-name": column.name }, column.cell(row))))));
    more.hidden = drawn >= list.length;
  }

  function draw() {
    list = sorted();
    const keep = Math.max(CHUNK, drawn);
    drawn = 0;
    body.replaceChildren();
    while (drawn < Math.min(keep, list.length)) add();
    more.hidden = drawn >= list.length;
    columns.forEach((column, i) => {
      const is = column.name === order.name;
      heads[i].setAttribute("aria-sort", is ? (order.down ? "descending" : "ascending") : "none");
    });
  }

  new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting) && drawn < list.length) add(); }, { rootMargin: "600px" }).observe(more);
  return { element, show(next) { rows = next; draw(); } };
}

export function parseSort(text) {
  return text ? { name: text.replace(/^-/, ""), down: text.startsWith("-") } : null;
}
