// Pictures of a subject as items: what the table, the detail view and the full-size view show. An item's id is the same for
// every subject ("refine/masks/090"), so that up and down can stay with it.

import { artifact, doc, el, stem, thumbOf } from "./base.js";
import { sparkline } from "./chart.js";

const itemCache = new WeakMap();

export function itemsOf(subject) {
  if (!itemCache.has(subject)) itemCache.set(subject, [...photoItems(subject), ...Object.keys(subject.cells).flatMap((stage) => stageItems(subject, stage))]);
  return itemCache.get(subject);
}

export function photoItems(subject) {
  const photo = subject.photo;
  if (!photo) return [];
  const reason = photo.gone || doc.unseen[photo.thumb];
  const url = photo.large ? thumbOf(photo.large) || photo.url : photo.url;
  return [{ id: "photo", kind: reason ? "nothing" : "image", subject, stage: "photo", label: photo.name, url, file: photo.url, thumb: thumbOf(photo.thumb), reason }];
}

function stageItems(subject, stage) {
  const cell = subject.cells[stage];
  const items = (cell.pics || []).map(([file, token]) => ({
    id: `${stage}/${stem(file)}`, kind: file.endsWith(".mp4") ? "video" : "image", subject, stage, label: stem(file),
    url: artifact(subject, stage, file), thumb: thumbOf(token), reason: doc.unseen[token],
  }));
  for (const item of items) if (item.reason && item.kind === "image") item.kind = "nothing";
  if (cell.pair) {
    const [before, after] = cell.pair.map((index) => items[index]);
    items.unshift({ id: `${stage}/compare`, kind: "pair", subject, stage, label: `${before.label} | ${after.label}`, before, after, url: after.url, thumb: after.thumb });
  }
  if (cell.curves) items.push({ id: `${stage}/losses`, kind: "chart", subject, stage, label: "losses", curves: cell.curves });
  return items;
}

export const stageOf = (subject, stage) => itemsOf(subject).filter((item) => item.stage === stage);

// a lazy thumbnail, or words where there is none
export function thumbnail(item, url) {
  const source = url || item.thumb || (item.kind === "image" ? item.url : null);
  if (item.kind === "nothing" || !source) return el("div.nothing", { title: item.reason || "" }, el("span", {}, item.label));
  const image = el("img", { src: source, alt: `${item.subject.name} ${item.stage} ${item.label}`, loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("error", () => image.replaceWith(el("div.nothing", { title: "the file is not there" }, el("span", {}, item.label))));
  return image;
}

// two pictures over each other, parted where the pointer is
export function slider(item, full) {
  const pick = (one) => (full ? one.url : one.thumb || one.url);
  const before = el("img", { src: pick(item.before), alt: item.before.label, loading: full ? "eager" : "lazy", draggable: "false" });
  const after = el("img.after", { src: pick(item.after), alt: item.after.label, loading: full ? "eager" : "lazy", draggable: "false" });
  const box = el("div.pair", {}, before, after, el("i.handle"));
  if (full) {
    const range = el("input", { type: "range", min: "0", max: "100", value: "50", "aria-label": "where the two pictures part" });
    range.addEventListener("input", () => box.style.setProperty("--at", `${range.value}%`));
    box.append(range, el("b.left", {}, stem(item.before.label)), el("b.right", {}, stem(item.after.label)));
  } else
    box.addEventListener("pointermove", (event) => {
      const area = box.getBoundingClientRect();
      box.style.setProperty("--at", `${(100 * (event.clientX - area.left)) / area.width}%`);
    });
  return box;
}

// a film: its first picture until the pointer comes, then it plays
export function film(item, full) {
  if (full) {
    const player = el("video", { src: item.url, controls: true, loop: true, playsinline: true });
    player.muted = true;  // or it may not start by itself
    player.autoplay = true;
    return player;
  }
  if (!item.thumb) return el("div.nothing", { title: item.reason || "" }, el("span", {}, item.label));
  const box = el("div.film", {}, thumbnail(item));
  let video = null;
  box.addEventListener("pointerenter", () => {
    video = el("video", { src: item.url, loop: true, playsinline: true });
    video.muted = true;
    box.append(video);
    video.play().catch(() => {});
  });
  box.addEventListener("pointerleave", () => {
    if (video) video.remove();
    video = null;
  });
  return box;
}

export const small = (item) => (item.kind === "pair" ? slider(item) : item.kind === "video" ? film(item) : item.kind === "chart" ? sparkline(item.curves) : thumbnail(item));

// full size: both, and their difference made by the browser with a gain of the reader's choice
export function difference(item) {
  const box = el("div.full-diff"), label = (text) => el("figcaption", {}, text);
  const image = (one) => el("img", { src: one.url, alt: one.label });
  const range = el("input", { type: "range", min: "1", max: "32", value: String(doc.gain), "aria-label": "gain of the difference" }), told = el("span", {}, `gain ${doc.gain}`);
  range.addEventListener("input", () => {
    box.style.setProperty("--gain", range.value);
    told.textContent = `gain ${range.value}`;
  });
  box.style.setProperty("--gain", String(doc.gain));
  const parted = slider({ before: { ...item.before, label: doc.labels[0] }, after: { ...item.after, label: doc.labels[1] } }, true);
  box.append(el("figure", {}, image(item.before), label(doc.labels[0])), el("figure", {}, image(item.after), label(doc.labels[1])),
    el("figure", {}, el("div.blend", {}, image(item.before), image(item.after)), label("difference"), el("label.gain", {}, range, told)),
    el("figure", {}, parted, label("both")));
  return box;
}
