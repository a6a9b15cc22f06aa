// Starts the page that the data asks for, and opens what its address names.

const PAGES = { work: tablePage, run: tablePage, compare: comparePage, sweep: sweepPage };

document.body.append(el("main", {}, PAGES[doc.kind]()));
document.body.dataset.kind = doc.kind;

const asked = new URLSearchParams(location.hash.slice(1));
const wanted = tableState.list && asked.get("subject") && doc.subjects.find((subject) => subject.name === asked.get("subject"));
if (wanted) {
  const item = itemsOf(wanted).find((other) => other.id === asked.get("item"));
  item ? lightbox.open(item, orderedRows) : detail.open(wanted, orderedRows);
}
