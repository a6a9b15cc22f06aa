// The page of a work folder or a run: a row a subject, a column a stage.

import { SEVERITY, count, doc, el, isPoor, median, number2, seconds, signed, stateMark, worst } from "./base.js";
import { itemsOf, photoItems, small, stageOf, thumbnail } from "./pictures.js";
import { sparkline } from "./chart.js";
import { lightbox } from "./lightbox.js";
import { detail, givenFor } from "./detail.js";
import { List, byName, byNumber, choice, pageHead, sizeChoice } from "./list.js";

const tableState = { all: false, list: null };
export const orderedRows = () => tableState.list.current;

export function tablePage() {
  const rows = doc.subjects;
  const list = new List({ rows, words: wordsOf, chips: stateChips(), sorts: SORTS, render: renderRow, tools: [densityChoice(), sizeChoice()] });
  tableState.list = list;
  setColumns();
  const failed = rows.filter((row) => worst(row).state === "FAILED").length, total = rows.reduce((sum, row) => sum + (row.seconds || 0), 0);
  const head = pageHead(doc.title, [count(rows.length, "subject"), failed ? `${failed} failed` : null, `${seconds(total)} of work`,
    doc.seconds === undefined ? null : `this run took ${seconds(doc.seconds)}`, doc.made],
    doc.resume ? el("p.next", {}, "Resume: ", el("code", {}, doc.resume)) : "");
  return [head, list.bar, columnHeads(), list.body];
}

const wordCache = new WeakMap();
function wordsOf(row) {
  if (!wordCache.has(row)) {
    const cells = Object.entries(row.cells).flatMap(([stage, cell]) => [cell.state === "FRESH" ? "" : `${stage}:${cell.state}`, cell.note || "", ...(cell.causes || [])]);
    wordCache.set(row, [row.name, worst(row).state, row.error, row.config, ...row.overrides, ...(row.fit?.poor.length ? ["poor fit", ...row.fit.poor] : []), ...cells].join("\n").toLowerCase());
  }
  return wordCache.get(row);
}

function stateChips() {
  const chips = { All: () => true };
  for (const [name, state] of [["Failed", "FAILED"], ["Stale", "STALE"], ["Missing", "MISSING"], ["Unknown", "UNKNOWN"], ["Made", "MADE"], ["Fresh", "FRESH"]])
    chips[name] = (row) => worst(row).state === state;
  chips["Poor fit"] = isPoor;
  return chips;
}

const SORTS = {
  Name: byName,
  "Fit, worst first": byNumber((row) => (row.fit ? row.fit.iou - (row.fit.poor.length ? 10 : 0) : null)),
  "Fit gained": byNumber((row) => (row.fit && row.fit.iou_before !== null ? row.fit.iou - row.fit.iou_before : null)),
  "Seconds, most first": byNumber((row) => (row.seconds === null ? null : -row.seconds)),
  "State, worst first": byNumber((row) => SEVERITY.indexOf(worst(row).state)),
};

function densityChoice() {
  return choice("pictures", { "One a stage": false, "All pictures": true }, (value) => {
    tableState.all = value;
    setColumns();
    document.querySelector(".heads").replaceWith(columnHeads());
    tableState.list.refresh();
  });
}

// columns of half-size tiles for each stage; all pictures stand in two rows of them
function setColumns() {
  const rules = doc.stages.map((stage) => {
    const most = Math.max(1, ...doc.subjects.map((row) => (row.cells[stage]?.pics?.length || 0) + (row.cells[stage]?.curves ? 1 : 0)));
    return tableState.all ? Math.max(2, Math.ceil(most / 2)) : 2;
  });
  tableState.columns = Object.fromEntries(doc.stages.map((stage, index) => [stage, rules[index]]));
}

function sized(node, stage) {
  const columns = stage === "photo" ? 2 : tableState.columns[stage];
  node.style.setProperty("--tiles", columns / 2);
  node.style.setProperty("--columns", columns);
  return node;
}

function columnHeads() {
  const heads = doc.stages.map((stage, index) => {
    const times = doc.subjects.map((row) => row.cells[stage]?.seconds).filter((value) => value !== undefined && value !== null);
    return sized(el("div.cell", { role: "columnheader" }, el("b", {}, el("small", {}, number2(index)), stage.replaceAll("_", " ")), el("span", { title: "median" }, seconds(median(times)))), stage);
  });
  return el("div.heads", { "aria-hidden": "true" }, el("div.who", {}, el("b", {}, "subject"), el("span", {}, "fit, seconds")), el("div.cells", {}, sized(el("div.cell", {}, el("b", {}, "photo")), "photo"), heads));
}

function renderRow(row) {
  return [who(row), el("div.cells", {}, photoCell(row), doc.stages.map((stage) => stageCell(row, stage)))];
}

function who(row) {
  const mark = worst(row), cell = row.cells[mark.stage];
  const why = row.error || (cell?.causes?.[0] ?? cell?.note ?? "");
  const curves = Object.values(row.cells).find((other) => other.curves)?.curves;
  const lossItem = curves && itemsOf(row).find((item) => item.kind === "chart");
  return el("div.who", {},
    el("button.name", { type: "button", title: row.name, click: () => detail.open(row, orderedRows) }, row.name),
    el("p", {}, stateMark(mark.state, mark.stage ? `${mark.state.toLowerCase()} ${mark.stage.replaceAll("_", " ")}` : null)),
    why ? el(mark.state === "FAILED" || row.error ? "p.why.failure" : "p.why", { title: why }, why) : null,
    fitLine(row),
    lossItem ? el("button.losses", { type: "button", title: "losses of the refinement", click: () => lightbox.open(lossItem, orderedRows) }, sparkline(curves)) : null,
    el("p.seconds", {}, seconds(row.seconds)));
}

function fitLine(row) {
  const fit = row.fit;
  if (!fit) return null;
  const gain = fit.iou_before === null ? "" : signed(fit.iou - fit.iou_before, 3);
  const bar = el("i.bar", {}, el("i"));
  bar.firstChild.style.width = `${Math.max(0, Math.min(100, 100 * fit.iou))}%`;
  const title = fit.poor.length ? fit.poor.join("\n") : "overlap (IoU) of the refined body with the photo's mask, and what the refinement gained";
  return el(fit.poor.length ? "p.fit.poor" : "p.fit", { title }, `fit ${fit.iou.toFixed(3)} `, el("small", {}, gain), bar);
}

function photoCell(row) {
  const [item] = photoItems(row);
  return sized(el("div.cell", { "data-label": "photo" }, item ? tile(item) : el("div.nothing")), "photo");
}

function stageCell(row, stage) {
  const cell = row.cells[stage], box = sized(el("div.cell", { "data-label": stage.replaceAll("_", " ") }), stage);
  if (!cell) return box;
  if (cell.state !== "FRESH" && cell.state !== "MADE") {
    box.classList.add(cell.state.toLowerCase());
    box.append(stateMark(cell.state));
    box.title = [...(cell.causes || []), cell.note || ""].filter(Boolean).join("\n");
  }
  const given = givenFor(row, stage);
  if (given.length) box.append(el("span.given", { title: given.join("\n") }, "given"));
  const items = stageOf(row, stage), pictures = items.filter((item) => item.kind !== "chart");
  if (!items.length) box.append(cell.state === "FAILED" ? el("div.nothing.failure", {}, el("span", {}, cell.note || "failed")) : el("div.nothing", {}, el("span", {}, cell.key ? "no picture" : cell.state.toLowerCase())));
  else if (tableState.all) box.append(el("div.grid", {}, (cell.pair ? items.slice(1) : items).map((item) => tile(item))));
  else box.append(pictures[0]?.kind === "image" && pictures.length > 1 ? scrubber(pictures) : tile(items[0]));
  return box;
}

function tile(item) {
  return el(item.stage === "photo" ? "button.picture.photo" : "button.picture", { type: "button", "aria-label": `${item.stage} ${item.label}, full size`, click: () => lightbox.open(item, orderedRows) }, small(item));
}

// one tile that shows all pictures of a stage in turn as the pointer moves across it
function scrubber(items) {
  let at = 0;
  const image = thumbnail(items[0]), ticks = el("i.ticks", {}, items.map(() => el("i")));
  ticks.firstChild.className = "on";
  const box = el("button.picture", { type: "button", "aria-label": `${items[0].stage}, ${items.length} pictures, full size`, click: () => lightbox.open(items[at], orderedRows) }, image, ticks);
  const show = (index) => {
    if (index === at || !items[index]) return;
    at = index;
    box.firstChild.replaceWith(thumbnail(items[at]));
    [...ticks.children].forEach((tick, other) => (tick.className = other === at ? "on" : ""));
  };
  box.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") return;
    const area = box.getBoundingClientRect();
    show(Math.min(items.length - 1, Math.max(0, Math.floor((items.length * (event.clientX - area.left)) / area.width))));
  });
  box.addEventListener("pointerleave", () => show(0));
  return box;
}
