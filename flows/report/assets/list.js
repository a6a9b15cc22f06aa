// A list of rows that can be searched, filtered and sorted. Rows are filled when they come near the window, so that
// thousands cost nothing; a row's name is always there, so that the browser's own search finds it.

import { compareNames, el } from "./base.js";

export class List {
  // rows: any objects; words(row): what the search looks in; chips: {label: test(row)}; sorts: {label: compare(a, b)}
  constructor({ rows, words, chips, sorts, render, tools }) {
    Object.assign(this, { rows, words, chips, sorts, render });
    this.chip = Object.keys(chips)[0];
    this.sort = Object.keys(sorts)[0];
    this.query = "";
    this.reversed = false;
    this.nodes = new Map();
    this.body = el("div.rows", { role: "list" });
    this.search = el("input.search", { type: "search", placeholder: "Filter names, states, messages ( / )", "aria-label": "filter", input: () => this.update((this.query = this.search.value)) });
    this.told = el("span.told", { role: "status" });
    this.bar = el("div.tools", {}, this.search, this.chipBar(), el("span.grow"), tools || [], this.sortMenu(), this.told);
    new ResizeObserver(() => document.documentElement.style.setProperty("--bar", `${this.bar.offsetHeight}px`)).observe(this.bar);
    this.watch = new IntersectionObserver((entries) => entries.forEach((entry) => entry.isIntersecting && this.fill(entry.target)), { rootMargin: "1200px 0px" });
    document.addEventListener("keydown", (event) => this.key(event));
    this.current = [];
    this.update();
  }

  chipBar() {
    const buttons = Object.entries(this.chips).map(([name, test]) => {
      const number = this.rows.filter(test).length;
      const pick = () => {
        this.chip = name;
        buttons.forEach((button) => button?.setAttribute("aria-pressed", String(button.dataset.name === name)));
        this.update();
      };
      const first = name === this.chip;
      return number || first ? el("button.chip", { type: "button", "data-name": name, "aria-pressed": String(first), click: pick }, name, " ", el("small", {}, number.toLocaleString("en"))) : null;
    });
    return el("div.chips", { role: "group", "aria-label": "show" }, buttons);
  }

  sortMenu() {
    const menu = el("select", { "aria-label": "sort by", change: () => { this.sort = menu.value; this.reversed = false; this.update(); } },
      Object.keys(this.sorts).map((name) => el("option", { value: name }, name)));
    this.menu = menu;
    const turn = el("button.button", { type: "button", title: "other way round", "aria-label": "reverse the order", click: () => { this.reversed = !this.reversed; this.update(); } }, "\u21c5");
    return el("label.sort", {}, "Sort ", menu, turn);
  }

  update() {
    const words = this.query.toLowerCase().split(/\s+/).filter(Boolean), test = this.chips[this.chip];
    const kept = this.rows.filter((row) => test(row) && words.every((word) => this.words(row).includes(word)));
    kept.sort(this.sorts[this.sort]);
    if (this.reversed) kept.reverse();
    this.current = kept;
    this.body.replaceChildren(...kept.map((row) => this.node(row)));
    this.told.textContent = kept.length === this.rows.length ? "" : `${kept.length.toLocaleString("en")} of ${this.rows.length.toLocaleString("en")}`;
    if (!kept.length) this.body.append(el("p.sorry", {}, "Nothing matches."));
  }

  node(row) {
    let node = this.nodes.get(row);
    if (!node) {
      node = el("article.row", { role: "listitem" }, el("div.who", {}, el("b.name", {}, row.name)));
      node.row = row;
      this.nodes.set(row, node);
      this.watch.observe(node);
    }
    return node;
  }

  fill(node) {
    this.watch.unobserve(node);
    try {
      if (node.row) node.replaceChildren(...this.render(node.row));
    } catch (error) {  // one row that is not as expected must not take the others along
      node.append(el("p.failure", {}, `this row cannot be shown: ${error.message}`));
    }
    node.classList.add("filled");
  }

  // all rows anew, after what they show has changed
  refresh() {
    for (const node of this.nodes.values()) this.watch.unobserve(node);
    this.nodes.clear();
    this.update();
  }

  key(event) {
    const typing = event.target.closest("input, select, textarea, dialog");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      this.search.focus();
    } else if (event.key === "Escape" && event.target === this.search) this.search.blur();
    else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && event.target.matches?.(".row .name")) {
      const nodes = [...this.body.children], at = nodes.indexOf(event.target.closest(".row")) + (event.key === "ArrowDown" ? 1 : -1);
      event.preventDefault();
      nodes[at]?.scrollIntoView({ block: "nearest" });
      requestAnimationFrame(() => requestAnimationFrame(() => nodes[at]?.querySelector(".name")?.focus()));
    }
  }
}

// what is not known goes last, whichever way round the rest is
export const byNumber = (value) => (a, b) => {
  const [x, y] = [value(a), value(b)];
  return x === null || y === null ? (x === null) - (y === null) || compareNames(a.name, b.name) : x - y || compareNames(a.name, b.name);
};
export const byName = (a, b) => compareNames(a.name, b.name);

// a choice that is remembered while the page is open
export function choice(title, options, pick, first = Object.keys(options)[0]) {
  const buttons = Object.entries(options).map(([name, value], index) => el("button.chip", { type: "button", "aria-pressed": String(name === first), click: () => {
    buttons.forEach((button, other) => button.setAttribute("aria-pressed", String(other === index)));
    pick(value);
  } }, name));
  return el("div.chips", { role: "group", "aria-label": title }, buttons);
}

export function pageHead(title, facts, ...more) {
  return el("header.head", {}, el("p.brand", {}, "Turnaround"), el("h1", {}, title), el("p.facts", {}, facts.filter(Boolean).join("  \u00b7  ")), ...more);
}

const SIZES = { S: "84px", M: "124px", L: "208px" };
export function sizeChoice(first = "M") {
  const pick = (value) => document.documentElement.style.setProperty("--tile", value);
  pick(SIZES[first]);
  return choice("size", SIZES, pick, first);
}
