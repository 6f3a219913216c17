// What every page does. Links within it lead there also where a viewer forbids to navigate, as MLflow's does.
document.addEventListener("click", event => {
  const link = event.target.closest('a[href^="#"]');
  const place = link && document.getElementById(link.getAttribute("href").slice(1));
  if (!place) return;
  document.querySelector(".here")?.classList.remove("here");
  place.classList.add("here");
  place.scrollIntoView();
});

// Tables sort by a click on a column's name; what is missing stays last.
(() => {
  const value = (row, column, numeric) => {
    const cell = row.cells[column];
    if (cell.hasAttribute("data-none")) return null;
    return numeric ? Number(cell.dataset.value) : cell.textContent;
  };
  const sort = head => {
    const numeric = head.classList.contains("number"), body = head.closest("table").tBodies[0];
    const before = head.getAttribute("aria-sort");
    const up = before === "none" ? !numeric : before === "descending";
    const column = head.cellIndex, sign = up ? 1 : -1;
    const compare = numeric ? (a, b) => a - b : new Intl.Collator(undefined, {numeric: true}).compare;
    const keyed = [...body.rows].map(row => [value(row, column, numeric), row]);
    keyed.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b));
    body.append(...keyed.map(([, row]) => row));
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  };
  document.addEventListener("click", event => {
    const button = event.target.closest("th button");
    if (button) sort(button.parentNode);
  });
})();
