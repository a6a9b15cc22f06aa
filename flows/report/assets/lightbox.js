// One picture full size. Left and right go through the pictures of a subject, up and down through the subjects, Esc closes.

import { el } from "./base.js";
import { difference, film, itemsOf, slider } from "./pictures.js";
import { chart } from "./chart.js";

export const lightbox = {
  dialog: null, rows: () => [], items: itemsOf, row: 0, at: 0, gain: 4,

  // rows(): the subjects in the order of the page; items(row): the pictures of one
  open(item, rows, items) {
    this.rows = rows;
    this.items = items || itemsOf;
    this.row = rows().findIndex((row) => this.items(row).some((other) => other.id === item.id && other.subject === item.subject));
    if (this.row < 0) return;
    this.at = this.list().findIndex((other) => other.id === item.id && other.subject === item.subject);
    this.build();
    if (!this.dialog.open) this.dialog.showModal();
    this.show();
  },

  list() {
    return this.items(this.rows()[this.row]);
  },

  build() {
    if (this.dialog) return;
    const turn = (name, text, act) => el(`button.turn.${name}`, { type: "button", "aria-label": text, title: text, click: act });
    this.stage = el("div.canvas", { tabindex: "-1", autofocus: true, click: (event) => event.target === this.stage && this.dialog.close() });
    this.caption = el("header");
    this.dialog = el("dialog.lightbox", { keydown: (event) => this.key(event), close: () => this.left() }, this.caption, this.stage,
      turn("prev", "previous picture (\u2190)", () => this.step(-1)), turn("next", "next picture (\u2192)", () => this.step(1)),
      turn("above", "subject before (\u2191)", () => this.move(-1)), turn("below", "next subject (\u2193)", () => this.move(1)));
    document.body.append(this.dialog);
  },

  key(event) {
    const act = { ArrowLeft: () => this.step(-1), ArrowRight: () => this.step(1), ArrowUp: () => this.move(-1), ArrowDown: () => this.move(1) }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.shiftKey && event.target.type === "range") return;  // shift and arrows move the slider
    event.preventDefault();
    act();
  },

  step(by) {
    const length = this.list().length;
    this.at = (this.at + by + length) % length;
    this.show();
  },

  // the same picture of the next subject that has any, or the nearest one of that subject
  move(by) {
    const rows = this.rows(), id = this.list()[this.at].id;
    for (let row = this.row + by; row >= 0 && row < rows.length; row += by) {
      const items = this.items(rows[row]);
      if (!items.length) continue;
      const same = items.findIndex((item) => item.id === id);
      this.row = row;
      this.at = same >= 0 ? same : Math.min(this.at, items.length - 1);
      return this.show();
    }
  },

  show() {
    const item = this.list()[this.at], rows = this.rows();
    const link = item.file || item.url;
    this.caption.replaceChildren(
      el("strong", {}, item.subject.name), el("span", {}, item.stage === "photo" ? "photo" : `${item.stage} / ${item.label}`),
      item.note ? el("span.note", {}, item.note) : "", this.explained(item), el("span.grow"),
      el("small", {}, `${this.at + 1} of ${this.list().length} \u00b7 subject ${this.row + 1} of ${rows.length}`),
      link ? el("a.button", { href: link, target: "_blank", rel: "noopener" }, "open file") : "",
      el("button.button", { type: "button", click: () => this.dialog.close() }, "close"));
    this.stage.replaceChildren(this.body(item));
    const slide = this.stage.querySelector("input");
    if (slide) slide.focus({ preventScroll: true });
    else if (!this.dialog.contains(document.activeElement)) this.stage.focus({ preventScroll: true });  // or the keys go nowhere
    remember({ subject: item.subject.name, item: item.id });
  },

  explained(item) {
    if (item.id.startsWith("refine/masks/"))
      return el("span.key", {}, el("i.grey"), "model ", el("i.red"), "body before ", el("i.green"), "body after");
    return "";
  },

  body(item) {
    if (item.kind === "pair") return slider(item, true);
    if (item.kind === "video") return film(item, true);
    if (item.kind === "chart") return chart(item.curves);
    if (item.kind === "diff") return difference(item);
    if (item.kind === "nothing") return el("p.sorry", {}, `${item.label} cannot be shown: ${item.reason || "there is no such file"}`);
    const image = el("img.full", { src: item.url, alt: item.label, click: () => image.classList.toggle("pixels") });
    if (item.thumb) image.addEventListener("error", () => (image.src = item.thumb), { once: true });
    return image;
  },

  left() {
    this.stage.replaceChildren();  // stops a film
    remember({});
  },
};

// the address names what is open, so that it can be sent to others
export function remember(values) {
  const text = new URLSearchParams(values).toString();
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch {
    // a browser that forbids it for files: nothing is lost but the address
  }
}
