// The page of two runs: a row a subject, a cell a stage with both pictures and their difference.

import { count, doc, el, failure, median, number2, seconds, signed, thumbOf, worst } from "./base.js";
import { itemsOf, thumbnail } from "./pictures.js";
import { lightbox } from "./lightbox.js";
import { List, byName, byNumber, pageHead, sizeChoice } from "./list.js";

const SIDES = ["a", "b"];
const compareState = { list: null };
const comparedRows = () => compareState.list.current;

export function comparePage() {
  const rows = doc.subjects;
  const list = new List({
    rows, words: (row) => [row.name, ...Object.entries(row.stages).flatMap(([stage, both]) => [differs(both) ? stage : "", ...both.causes])].join("\n").toLowerCase(),
    chips: { All: () => true, Differs: rowDiffers, Equal: (row) => row.a && row.b && !rowDiffers(row), "In one only": (row) => !row.a || !row.b,
      Failed: (row) => SIDES.some((side) => row[side] && worst(row[side]).state === "FAILED") },
    sorts: { Name: byName, "Farthest apart first": byNumber((row) => lowest(Object.values(row.stages))),
      "Fit, most lost first": byNumber(fitChange), "Seconds, most gained first": byNumber((row) => (row.a && row.b ? row.b.seconds - row.a.seconds : null)) },
    render: comparedRow, tools: [sizeChoice()],
  });
  compareState.list = list;
  const head = pageHead(`${doc.labels[0]}  \u2194  ${doc.labels[1]}`, [doc.verdict, doc.made], settingsTable(), meansLine(rows));
  return [head, list.bar, el("div.heads", { "aria-hidden": "true" }, el("div.who", {}, el("b", {}, "subject")), el("div.cells", {}, doc.stages.map((stage, index) =>
    comparedBox(stage, el("b", {}, el("small", {}, number2(index)), stage.replaceAll("_", " ")))))), list.body];
}

// a stage in which no subject differs takes less room
function comparedBox(stage, ...children) {
  const loud = (compareState.loud ??= new Set(doc.subjects.flatMap((row) => Object.keys(row.stages).filter((name) => differs(row.stages[name])))));
  return el(loud.has(stage) ? "div.cell.wide" : "div.cell.wide.quiet", { "data-label": stage.replaceAll("_", " ") }, children);
}

const differs = (both) => both.outputs.length > 0;
const rowDiffers = (row) => Object.values(row.stages).some(differs) || !row.a || !row.b;
const fitChange = (row) => (row.a?.fit && row.b?.fit ? row.b.fit.iou - row.a.fit.iou : null);

// the lowest PSNR among stages' pictures, null where no picture differs
function lowest(stages) {
  const known = stages.flatMap((both) => Object.values(both.pairs)).map((token) => doc.facts[token]?.psnr).filter((value) => value !== null && value !== undefined);
  return known.length ? Math.min(...known) : null;
}

function settingsTable() {
  if (!doc.settings.length) return el("p.next", {}, "The same settings, versions and weights.");
  return el("details", { open: doc.settings.length < 12 }, el("summary", {}, count(doc.settings.length, "setting"), " that differ"),
    el("table.facts", {}, el("tbody", {}, doc.settings.map((one) => el("tr", {}, el("th", {}, `${one.stage} ${one.kind.toLowerCase()}`), el("td", {}, one.text), el("td", {}, el("small", {}, `\u2003${count(one.subjects, "subject")}`)))))));
}

function meansLine(rows) {
  const both = rows.filter((row) => row.a && row.b), fits = both.map(fitChange).filter((value) => value !== null);
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const words = [];
  if (fits.length) words.push(`fit ${signed(mean(fits), 4)} on average (${fits.filter((value) => value > 0).length} better, ${fits.filter((value) => value < 0).length} worse)`);
  if (both.length) words.push(`median seconds ${seconds(median(both.map((row) => row.a.seconds || 0)))} \u2192 ${seconds(median(both.map((row) => row.b.seconds || 0)))}`);
  return el("p.facts", {}, words.join("  \u00b7  "));
}

function comparedRow(row) {
  return [comparedWho(row), el("div.cells", {}, doc.stages.map((stage) => comparedCell(row, stage)))];
}

function comparedWho(row) {
  const fit = (side) => row[side]?.fit?.iou.toFixed(3) ?? "-", least = lowest(Object.values(row.stages));
  return el("div.who", {}, el("b.name", { title: row.name, tabindex: "0" }, row.name),
    !row.a || !row.b ? el("p.why", {}, `only in ${doc.labels[row.a ? 0 : 1]}`) : null,
    SIDES.map((side, index) => row[side] && worst(row[side]).state === "FAILED" ? el("p.why.failure", {}, `${doc.labels[index]}: ${failure(row[side])}`) : null),
    fitChange(row) === null ? null : el("p.fit", {}, `fit ${fit("a")} \u2192 ${fit("b")} `, el("small", {}, signed(fitChange(row), 3))),
    el("p.seconds", {}, `${seconds(row.a?.seconds)} \u2192 ${seconds(row.b?.seconds)}`),
    least === null ? null : el("p.seconds", {}, `PSNR from ${least.toFixed(1)} dB`));
}

function comparedCell(row, stage) {
  const both = row.stages[stage], box = comparedBox(stage);
  if (!both) return box.append(el("div.nothing", {}, el("span", {}, "not in both"))), box;
  const items = comparedItems(row).filter((item) => item.stage === stage);
  const item = items.filter((one) => one.token).sort((x, y) => (x.facts?.psnr ?? 999) - (y.facts?.psnr ?? 999))[0] || items[0];
  const verdict = !differs(both) ? el("p.verdict", {}, "same bytes") : el("p.verdict.differs", { title: both.causes.join("\n") },
    item?.token ? measured(item.facts) : "", el("small", {}, ` ${both.outputs.join(", ")}`));
  if (item) box.append(item.token ? triple(item) : el("div.triple", {}, diffTile(item, thumbnail(item.before))));
  else box.append(el("div.nothing", {}, el("span", {}, "no picture")));
  return box.append(verdict), box;
}

const measured = (facts) => (!facts ? "" : facts.sizes ? `sizes ${facts.sizes}` : facts.why ? facts.why : facts.psnr === null ? "equal pixels" : `${facts.psnr.toFixed(1)} dB, max ${facts.max}`);

const comparedCache = new WeakMap();
// every picture that both sides have, as one item with both
function comparedItems(row) {
  if (!comparedCache.has(row)) comparedCache.set(row, row.a && row.b ? pairedItems(row) : []);
  return comparedCache.get(row);
}

function pairedItems(row) {
  const plain = (subject) => itemsOf(subject).filter((item) => item.kind === "image");
  const others = new Map(plain(row.b).map((item) => [item.id, item]));
  return plain(row.a).filter((item) => others.has(item.id) && item.stage !== "photo").map((before) => {
    const after = others.get(before.id), token = row.stages[before.stage]?.pairs[before.label];
    return { id: before.id, kind: token ? "diff" : "image", subject: row.a, stage: before.stage, label: before.label, before, after, token, facts: token && doc.facts[token],
      url: after.url, thumb: after.thumb, note: token ? measured(doc.facts[token]) : "same bytes" };
  });
}

function triple(item) {
  const delta = thumbOf(item.token) && !item.facts?.sizes && !item.facts?.why ? el("img", { src: thumbOf(item.token), alt: "difference", loading: "lazy" }) : el("div.nothing", {}, el("span", {}, measured(item.facts)));
  return el("div.triple", {}, diffTile(item, thumbnail(item.before)), diffTile(item, thumbnail(item.after)), diffTile(item, delta));
}

const diffTile = (item, picture) => el("button.picture", { type: "button", "aria-label": `${item.stage} ${item.label}, full size`, click: () => lightbox.open(item, comparedRows, comparedItems) }, picture);
