// Starts the page that the data asks for, and opens what its address names.

import { doc, el } from "./base.js";
import { itemsOf } from "./pictures.js";
import { lightbox } from "./lightbox.js";
import { detail } from "./detail.js";
import { orderedRows, tablePage } from "./table.js";
import { comparePage } from "./compare.js";
import { sweepPage } from "./sweep.js";

const PAGES = { work: tablePage, run: tablePage, compare: comparePage, sweep: sweepPage };

// the picture or the subject that the address names; only a table's rows are named so
function openAsked() {
  const asked = new URLSearchParams(location.hash.slice(1)), name = asked.get("subject");
  const wanted = name && doc.subjects.find((subject) => subject.name === name);
  if (!wanted) return;
  const item = itemsOf(wanted).find((other) => other.id === asked.get("item"));
  if (item) lightbox.open(item, orderedRows);
  else detail.open(wanted, orderedRows);
}

document.body.append(el("main", {}, PAGES[doc.kind]()));
document.body.dataset.kind = doc.kind;
if (PAGES[doc.kind] === tablePage) openAsked();
