// The report of a run: order and size of pictures, rows that lead to them, and curves at a threshold.
document.addEventListener("DOMContentLoaded", () => {
  const shown = document.querySelector(".shown");
  if (shown) {
    const orders = {
      turn: (a, b) => a.dataset.turn - b.dataset.turn,
      worst: (a, b) => (a.dataset.score || 9) - (b.dataset.score || 9),
      best: (a, b) => (b.dataset.score || -9) - (a.dataset.score || -9),
      name: (a, b) => a.dataset.title.localeCompare(b.dataset.title, undefined, {numeric: true}),
    };
    const list = shown.querySelector(".list");
    shown.querySelector("select").addEventListener("change", event =>
      list.append(...[...list.children].sort(orders[event.target.value])));
    shown.querySelector("[type=range]").addEventListener("input", event =>
      shown.style.setProperty("--tile", event.target.value + "px"));
  }

  document.querySelector(".rows")?.addEventListener("click", event => {
    const link = event.target.closest("tbody tr")?.querySelector("a");
    if (link && event.target !== link && !getSelection().toString()) link.click();
  });

  const slider = document.querySelector(".threshold input");
  if (!slider) return;
  const classes = JSON.parse(document.querySelector("#called").textContent);
  const told = document.querySelector(".threshold output");
  const rows = document.querySelectorAll("#at tbody tr");
  const ratio = (part, whole) => whole > 0 ? part / whole : NaN;
  const move = (circle, x, y) => {
    const {left, top, side} = circle.ownerSVGElement.dataset;
    const known = Number.isFinite(x) && Number.isFinite(y);
    circle.setAttribute("visibility", known ? "visible" : "hidden");
    if (!known) return;
    circle.setAttribute("cx", +left + side * x);
    circle.setAttribute("cy", +top + side * (1 - y));
  };
  const show = () => {
    const step = +slider.value;
    told.textContent = (step * 256 / 65535).toFixed(3);
    classes.forEach(({called, positives, negatives}, place) => {
      const [hits, alarms] = called[step];
      const recall = ratio(hits, positives), rate = ratio(alarms, negatives), precision = ratio(hits, hits + alarms);
      move(document.querySelectorAll("#roc .at")[place], rate, recall);
      move(document.querySelectorAll("#precision-recall .at")[place], recall, precision);
      const dice = ratio(2 * hits, hits + alarms + positives), iou = ratio(hits, alarms + positives);
      [dice, iou, precision, recall, 1 - rate].forEach((value, column) => {
        rows[place].cells[column + 1].textContent = Number.isFinite(value) ? value.toFixed(4) : "\u2013";
      });
    });
  };
  slider.addEventListener("input", show);
  show();
});
