// Loss curves: a sparkline of the total for the table, and a chart of all losses with a readout.

import { el } from "./base.js";

const HUES = ["#4c78d8", "#d9793a", "#3f9e6b", "#b5539c", "#8a7bd1", "#b79a2b", "#4aa3b5", "#c0504d"];

function svg(tag, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const finite = (values) => values.filter((value) => value !== null);
const mainCurve = (curves) => curves.total || Object.values(curves)[0];

function path(values, x, y) {
  let line = "", pen = "M";
  values.forEach((value, index) => {
    if (value === null) pen = "M";
    else {
      line += `${pen}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    }
  });
  return line;
}

export function sparkline(curves) {
  const values = mainCurve(curves), known = finite(values);
  const low = Math.min(...known), high = Math.max(...known);
  const x = (index) => 2 + (116 * index) / Math.max(1, values.length - 1);
  const y = (value) => 26 - (22 * (value - low)) / (high - low || 1);
  const title = `total loss ${values[0]} to ${values.at(-1)} in ${values.length} iterations`;
  const drawing = svg("svg", { viewBox: "0 0 120 30", class: "spark", role: "img", "aria-label": title, preserveAspectRatio: "none" },
    svg("path", { d: `${path(values, x, y)}`, fill: "none", "vector-effect": "non-scaling-stroke" }));
  drawing.append(svg("title", {}, title));
  return drawing;
}

// all losses; hidden ones and the scale are kept while the reader goes on to other subjects
const chartState = { hidden: new Set(), log: true };

export function chart(curves, width = 920, height = 420) {
  const box = el("div.chart");
  const words = el("p.readout");
  const draw = () => box.replaceChildren(plot(curves, width, height, words), words, legend(curves, draw));
  draw();
  return box;
}

function legend(curves, draw) {
  const toggle = (name) => () => {
    if (!chartState.hidden.delete(name)) chartState.hidden.add(name);
    draw();
  };
  const buttons = Object.entries(curves).map(([name, values], index) => {
    const chip = el("button.series", { type: "button", "aria-pressed": String(!chartState.hidden.has(name)), click: toggle(name) }, el("i"), name,
      el("small", {}, `${values[0]} \u2192 ${values.at(-1)}`));
    chip.style.setProperty("--hue", HUES[index % HUES.length]);
    return chip;
  });
  const scale = el("button.series", { type: "button", click: () => { chartState.log = !chartState.log; draw(); } }, chartState.log ? "logarithmic" : "linear");
  return el("div.legend", {}, buttons, scale);
}

export function plot(curves, width, height, words) {
  const names = Object.keys(curves), shown = names.filter((name) => !chartState.hidden.has(name));
  const all = shown.flatMap((name) => finite(curves[name])), log = chartState.log && all.some((value) => value > 0);
  const usable = log ? all.filter((value) => value > 0) : all;
  let low = Math.min(...usable), high = Math.max(...usable);
  if (!usable.length) [low, high] = [0, 1];
  if (log) low = Math.max(low, high * 1e-6);
  if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 1, high + 1];
  const length = Math.max(2, ...names.map((name) => curves[name].length));
  const [left, right, top, bottom] = [64, 16, 14, 34], to = log ? Math.log10 : (value) => value;
  const x = (index) => left + ((width - left - right) * index) / (length - 1);
  const y = (value) => height - bottom - ((height - top - bottom) * (to(Math.max(value, log ? low : value)) - to(low))) / (to(high) - to(low));
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "plot", role: "img", "aria-label": `losses over ${length} iterations` });
  for (const value of ticks(low, high, log)) {
    drawing.append(svg("line", { x1: left, x2: width - right, y1: y(value), y2: y(value), class: "rule" }));
    drawing.append(svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, String(Number(value.toPrecision(2)))));
  }
  for (let index = 0; index < length; index += Math.max(1, Math.ceil(length / 9)))
    drawing.append(svg("text", { x: x(index), y: height - 12, "text-anchor": "middle" }, String(index)));
  for (const name of shown)
    drawing.append(svg("path", { d: path(curves[name], x, y), fill: "none", stroke: HUES[names.indexOf(name) % HUES.length], "stroke-width": name === "total" ? 2.6 : 1.6 }));
  return words ? withReadout(drawing, curves, shown, x, length, width, height, words) : drawing;
}

function ticks(low, high, log) {
  if (!log) return [0, 1, 2, 3, 4].map((k) => low + ((high - low) * k) / 4);
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** power;
      if (value >= low && value <= high) found.push(value);
    }
  return found.length > 12 ? found.filter((value) => Number.isInteger(Math.round(1e6 * Math.log10(value)) / 1e6)) : found;
}

// the losses of the iteration under the pointer, in words below
function withReadout(drawing, curves, shown, x, length, width, height, words) {
  const line = svg("line", { y1: 8, y2: height - 30, class: "cursor" });
  drawing.append(line);
  drawing.addEventListener("pointermove", (event) => {
    const area = drawing.getBoundingClientRect(), at = ((event.clientX - area.left) / area.width) * width;
    const index = Math.max(0, Math.min(length - 1, Math.round(((at - x(0)) / (x(length - 1) - x(0))) * (length - 1))));
    line.setAttribute("x1", x(index));
    line.setAttribute("x2", x(index));
    words.textContent = `iteration ${index}:  ${shown.map((name) => `${name} ${curves[name][index]}`).join("  \u00b7  ")}`;
  });
  return drawing;
}
