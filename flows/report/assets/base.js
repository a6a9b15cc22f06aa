// The page's data, its addresses, and small helpers. Text from the data reaches the page as text nodes only.

export const doc = JSON.parse(document.getElementById("data").textContent);

// el("a.link", {href}, "text", child): attributes by name, functions as listeners, null children left out
export function el(spec, props, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(props || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const encodePath = (path) => (path.toWellFormed?.() ?? path).split("/").map(encodeURIComponent).join("/");  // half surrogates cannot be encoded
export const artifact = (subject, stage, file) => `${doc.bases[subject.base]}/${encodePath(`cache/${stage}/${subject.cells[stage].key}/${file}`)}`;
export const thumbOf = (token) => (!token || doc.unseen[token] ? null : (doc.inlined && doc.inlined[token]) || `${doc.thumbs}/${token}.jpg`);
export const stem = (file) => file.replace(/\.[^./]*$/, "");

export const seconds = (value) =>
  value === null || value === undefined ? "-" : value < 100 ? `${value.toFixed(1)} s` : value < 6000 ? `${(value / 60).toFixed(1)} min` : `${(value / 3600).toFixed(1)} h`;
export const bytes = (value) => (value < 1e3 ? `${value} B` : value < 1e6 ? `${(value / 1e3).toFixed(0)} kB` : `${(value / 1e6).toFixed(1)} MB`);
export const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
export const signed = (value, digits) => (value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1") + Math.abs(value).toFixed(digits);
export const compareNames = new Intl.Collator("en", { numeric: true }).compare;
export const median = (values) => (values.length ? [...values].sort((a, b) => a - b)[values.length >> 1] : null);
export const shellQuoted = (word) => (/^[\w./=@:,+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

export const SEVERITY = ["FAILED", "UNKNOWN", "STALE", "MISSING", "MADE", "FRESH"];
// the stage that decides a subject's state: the first of its worst
export function worst(subject) {
  const entries = Object.entries(subject.cells);
  if (subject.error && !entries.length) return { state: "UNKNOWN", stage: "" };
  let found = { state: "FRESH", stage: "" };
  for (const [stage, cell] of entries)
    if (SEVERITY.indexOf(cell.state) < SEVERITY.indexOf(found.state)) found = { state: cell.state, stage };
  return subject.error && found.state !== "FAILED" ? { state: "UNKNOWN", stage: "" } : found;
}
export const isPoor = (subject) => Boolean(subject.fit && subject.fit.poor.length);
export const stateMark = (state, text) => el(`span.state.${state.toLowerCase()}`, {}, text || state.toLowerCase());
export const number2 = (index) => String(index + 1).padStart(2, "0");
export const failure = (subject) => Object.values(subject.cells).find((cell) => cell.state === "FAILED")?.note || "failed";
