// The page of a sweep: a row a subject, a column a value, one chosen picture everywhere.

import { count, doc, el, failure, median, seconds, worst } from "./base.js";
import { itemsOf, small } from "./pictures.js";
import { lightbox } from "./lightbox.js";
import { List, byName, byNumber, pageHead, sizeChoice } from "./list.js";

const sweepState = { list: null, picture: "" };
const sweptRows = () => sweepState.list.current;

export function sweepPage() {
  const rows = doc.subjects, labels = doc.labels;
  sweepState.picture = firstPicture(rows);
  const list = new List({
    rows, words: (row) => row.name.toLowerCase(), render: sweptRow, tools: [pictureMenu(rows), sizeChoice("L")],
    chips: { All: () => true, Failed: (row) => row.variants.some((one) => one && worst(one).state === "FAILED") },
    sorts: { Name: byName, "Fit, widest apart first": byNumber((row) => (fits(row).length ? Math.min(...fits(row)) - Math.max(...fits(row)) : null)) },
  });
  sweepState.list = list;
  return [pageHead(doc.title, [count(rows.length, "subject"), count(labels.length, "value"), doc.made]), list.bar,
    el("div.heads", {}, el("div.who", {}, el("b", {}, "subject")), el("div.cells", {}, labels.map((label, index) => el("div.cell", {}, el("b", {}, label), el("span", {}, columnFacts(rows, index)))))), list.body];
}

const fits = (row) => row.variants.map((one) => one?.fit?.iou).filter((value) => value !== undefined);

function columnFacts(rows, index) {
  const column = rows.map((row) => row.variants[index]).filter(Boolean), known = column.map((one) => one.fit?.iou).filter((value) => value !== undefined);
  const mean = known.length ? `mean fit ${(known.reduce((sum, value) => sum + value, 0) / known.length).toFixed(3)}, ` : "";
  return `${mean}median ${seconds(median(column.map((one) => one.seconds).filter((value) => value !== null)))}`;
}

const sweepItems = (rows) => rows.flatMap((row) => row.variants).filter(Boolean).flatMap((one) => itemsOf(one));

// the picture that tells most of the first stage that differs: the later of its pair, else its first
function firstPicture(rows) {
  const items = sweepItems(rows).filter((item) => item.stage === doc.first), pair = items.find((item) => item.kind === "pair");
  return pair ? pair.after.id : (items[0] || sweepItems(rows)[0])?.id || "";
}

function pictureMenu(rows) {
  const ids = [...new Set(sweepItems(rows).map((item) => item.id))];
  const menu = el("select", { "aria-label": "picture", change: () => { sweepState.picture = menu.value; sweepState.list.refresh(); } },
    ids.map((id) => el("option", { value: id, selected: id === sweepState.picture }, id)));
  return el("label.sort", {}, "Picture ", menu);
}

// the chosen picture of each value
function sweptItems(row) {
  return row.variants.flatMap((one, index) => {
    const item = one && itemsOf(one).find((other) => other.id === sweepState.picture);
    return item ? [{ ...item, id: doc.labels[index], subject: one, note: [doc.labels[index], one.fit ? `fit ${one.fit.iou.toFixed(3)}` : ""].filter(Boolean).join("  \u00b7  ") }] : [];
  });
}

function sweptRow(row) {
  const items = sweptItems(row), best = Math.max(...fits(row));
  const cells = row.variants.map((one, index) => {
    const item = items.find((other) => other.id === doc.labels[index]), box = el("div.cell", { "data-label": doc.labels[index] });
    if (item) box.append(el("button.picture", { type: "button", "aria-label": `${doc.labels[index]}, full size`, click: () => lightbox.open(sweptItems(row).find((other) => other.id === item.id), sweptRows, sweptItems) }, small(item)));
    else box.append(el("div.nothing", {}, el("span", {}, one ? failure(one) : "not run")));
    const fit = one?.fit, most = fit && fits(row).length > 1 && fit.iou === best && fits(row).some((value) => value < best);
    return box.append(el(most ? "p.verdict.best" : "p.verdict", {}, [fit ? `fit ${fit.iou.toFixed(3)}` : "", one ? seconds(one.seconds) : ""].filter(Boolean).join("  \u00b7  "))), box;
  });
  return [el("div.who", {}, el("b.name", { title: row.name, tabindex: "0" }, row.name)), el("div.cells", {}, cells)];
}
