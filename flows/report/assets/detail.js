// Everything about one subject: pictures of each stage, causes, messages, settings, figures, files.

import { artifact, bytes, doc, el, number2, seconds, shellQuoted, stateMark, worst } from "./base.js";
import { photoItems, small, stageOf } from "./pictures.js";
import { plot } from "./chart.js";
import { lightbox, remember } from "./lightbox.js";

export const detail = {
  dialog: null, rows: () => [], row: 0,

  open(subject, rows) {
    this.rows = rows;
    this.row = rows().indexOf(subject);
    if (!this.dialog) {
      this.dialog = el("dialog.detail", { tabindex: "-1", keydown: (event) => this.key(event), close: () => remember({}),
        click: (event) => event.target === this.dialog && this.dialog.close() });
      document.body.append(this.dialog);
    }
    if (!this.dialog.open) this.dialog.showModal();
    this.show();
  },

  key(event) {
    const by = { ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1 }[event.key];
    if (!by || lightbox.dialog?.open || event.target.closest("input, video") || event.altKey || event.ctrlKey) return;
    if ((event.key === "ArrowUp" || event.key === "ArrowDown") && !event.shiftKey) return;  // these scroll
    event.preventDefault();
    this.move(by);
  },

  move(by) {
    const row = this.row + by;
    if (row < 0 || row >= this.rows().length) return;
    this.row = row;
    this.show();
  },

  show() {
    const subject = this.rows()[this.row], mark = worst(subject);
    this.dialog.replaceChildren(el("div.sheet", {},
      el("header", {}, el("h2", {}, subject.name), stateMark(mark.state), el("span.grow"),
        el("button.button", { type: "button", title: "subject before (\u2190)", click: () => this.move(-1) }, "\u2190"),
        el("button.button", { type: "button", title: "next subject (\u2192)", click: () => this.move(1) }, "\u2192"),
        el("button.button", { type: "button", click: () => this.dialog.close() }, "close")),
      subject.error ? el("p.failure", {}, subject.error) : null,
      this.facts(subject),
      givenFor(subject, "photo").map((text) => el("p.note", {}, text)),
      this.gallery(subject, photoItems(subject)),
      Object.keys(subject.cells).map((stage, index) => this.stage(subject, stage, index)),
      subject.trace ? el("details", {}, el("summary", {}, "Trace of the fault"), el("pre", {}, subject.trace)) : null));
    this.dialog.scrollTop = 0;
    if (!this.dialog.contains(document.activeElement)) this.dialog.focus();  // the focused button has just been replaced
    remember({ subject: subject.name });
  },

  facts(subject) {
    const fit = subject.fit, words = [];
    if (fit) {
      words.push(["fit, IoU with the photo's mask", fit.iou_before === null ? `${fit.iou}` : `${fit.iou_before.toFixed(3)} \u2192 ${fit.iou.toFixed(3)}`]);
      if (fit.px !== null) words.push(["joints, pixels", fit.px_before === null ? `${fit.px}` : `${fit.px_before.toFixed(2)} \u2192 ${fit.px.toFixed(2)}`]);
      if (fit.sides !== null) words.push(["side views, IoU", fit.sides.toFixed(3)]);
      for (const reason of fit.poor) words.push(["poor fit", reason]);
    }
    words.push(["seconds", seconds(subject.seconds)]);
    if (subject.config) words.push(["settings", [subject.config, ...subject.overrides.map((text) => `--set ${text}`)].join(" ")]);
    const look = doc.kind === "work" ? el("p.next", {}, "In three dimensions: ", el("code", {}, `turnaround view ${shellQuoted(subject.name)}${workOption}`)) : null;
    return el("div", {}, table(words), look);
  },

  gallery(subject, items) {
    return el("div.pictures", {}, items.map((item) => el("figure", {},
      el("button.picture", { type: "button", "aria-label": `${item.stage} ${item.label}`, click: () => lightbox.open(item, this.rows) },
        item.kind === "chart" ? chartPreview(item.curves) : small(item)), el("figcaption", {}, item.label))));
  },

  stage(subject, stage, index) {
    const cell = subject.cells[stage];
    const facts = [cell.seconds === undefined ? null : `${seconds(cell.seconds)} on ${cell.device}`, cell.finished, cell.version ? `version ${cell.version}` : null, cell.key];
    return el("section", {},
      el("h3", {}, el("small", {}, number2(index)), stage, " ", stateMark(cell.state), el("span.facts", {}, facts.filter(Boolean).join(" \u00b7 "))),
      givenFor(subject, stage).map((text) => el("p.note", {}, text)),
      cell.note ? el(cell.state === "FAILED" ? "p.failure" : "p.note", {}, cell.note) : null,
      (cell.causes || []).map((cause) => el("p.note", {}, cause)),
      next(subject, stage, cell),
      this.gallery(subject, stageOf(subject, stage)),
      cell.files?.length ? el("p.files", {}, cell.files.map(([file, kind, size]) =>
        el("a", { href: artifact(subject, stage, file), title: kind }, `${file} `, el("small", {}, bytes(size))))) : null,
      cell.facts?.length ? folded("Figures", table(cell.facts)) : null,
      cell.config === undefined ? null : folded("Settings, inputs, weights, versions", settings(cell)));
  },
};

// what a person put in the place of a stage's outputs, and where it came from
export function givenFor(subject, stage) {
  const told = Object.entries(subject.given).filter(([what]) => what.startsWith(`${stage}.`)).map(([what, from]) => `${what} is ${from}`);
  return told.length ? told : (subject.cells[stage]?.given || []).map((output) => `${output} was given by a person`);
}

const folded = (title, body) => el("details", {}, el("summary", {}, title), body);
const table = (rows) => el("table.facts", {}, el("tbody", {}, rows.map(([name, value]) => el("tr", {}, el("th", {}, name), el("td", {}, shown(value))))));
const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const chartPreview = (curves) => plot(curves, 460, 240);

function settings(cell) {
  const usual = usualSettings(cell);
  const rows = Object.entries(doc.pool[cell.config]).map(([name, value]) => {
    const row = el("tr", {}, el("th", {}, name), el("td", {}, shown(value)));
    if (JSON.stringify(usual[name]) !== JSON.stringify(value)) row.className = "unusual";
    return row;
  });
  const other = [...Object.entries(cell.inputs), ...Object.entries(doc.pool[cell.weights]).map(([name, digest]) => [`weight ${name}`, digest.slice(0, 12)]),
    ...Object.entries(doc.pool[cell.packages])];
  return el("div.columns", {}, el("table.facts", {}, el("tbody", {}, rows)), table(other));
}

// what most subjects have at this stage; what differs from it is marked
function usualSettings(cell) {
  const stage = doc.stages.find((name) => allSubjects().some((subject) => subject.cells[name] === cell));
  const counts = new Map();
  for (const subject of allSubjects()) {
    const index = subject.cells[stage]?.config;
    if (index !== undefined) counts.set(index, (counts.get(index) || 0) + 1);
  }
  const best = [...counts].sort((a, b) => b[1] - a[1])[0];
  return best ? doc.pool[best[0]] : doc.pool[cell.config];
}
const allSubjects = () => doc.subjects || [];

const workOption = !doc.work || doc.work === "work" ? "" : ` --work ${shellQuoted(doc.work)}`;

// the command that goes on from here
function next(subject, stage, cell) {
  if (doc.kind !== "work" || cell.state === "FRESH" || cell.state === "UNKNOWN") return null;
  const command = cell.state === "MISSING" || cell.state === "FAILED" || cell.causes ? `turnaround rerun ${stage} -s ${shellQuoted(subject.name)}${workOption}` : null;
  return command ? el("p.next", {}, el("code", {}, command)) : null;
}
