"""Style and script of the evaluation's page."""

STYLE = """
body { font: 14px/1.4 system-ui, sans-serif;
  margin: 24px auto; max-width: 1500px; padding: 0 16px; color: #222; background: #fff }
h1 { font-size: 22px } h2 { font-size: 17px; margin: 28px 0 6px } h3 { font-size: 15px; margin: 0 }
.tables { display: flex; flex-wrap: wrap; gap: 0 48px; align-items: flex-start }
.tables > div { max-width: 100% }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 2px 10px; text-align: right; white-space: nowrap }
thead th { border-bottom: 1px solid #999; font-weight: 600 } tbody th { text-align: left; font-weight: 500 }
tbody tr:hover { background: #f2f6fb }
#people thead th { cursor: pointer } #people thead th.sorted { color: #0b5cad }
section { border-top: 1px solid #ddd; padding: 10px 0 } section p { margin: 2px 0 6px; color: #666 }
.row { display: flex; flex-wrap: wrap; gap: 8px; align-items: flex-start }
.row img { max-width: 100%; height: auto }
"""

# sorts the table of people, and the pictures below it in the same order; what is not known goes last
SCRIPT = """
const rows = document.querySelector('#people tbody'), cards = document.querySelector('#all');
document.querySelectorAll('#people thead th').forEach((head, index) => head.addEventListener('click', () => {
  const worst = index ? head.dataset.up === "0" : true;  // the first click: the worst at the top
  const up = head.classList.contains("sorted") ? head.dataset.now === "0" : worst;
  document.querySelectorAll('#people thead th').forEach(other => other.classList.remove('sorted'));
  head.classList.add('sorted'); head.dataset.now = up ? '1' : '0';
  const value = row => index ? parseFloat(row.children[index].dataset.value) : row.dataset.name;
  const compared = (a, b) => (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1);
  const order = (a, b) => Number.isNaN(a) ? 1 : Number.isNaN(b) ? -1 : compared(a, b);
  [...rows.children].sort((a, b) => order(value(a), value(b))).forEach(row => {
    rows.append(row);
    cards.append([...cards.children].find(card => card.dataset.name === row.dataset.name));
  });
}));
"""
