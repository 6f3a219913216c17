// Sorts the test images, changes the size of their pictures, and shows classes in place of errors.
(() => {
  const root = document.querySelector(".masks"), rows = root.querySelector(".rows");
  const by = key => row => Number(row.dataset[key]);
  const orders = {
    spread: [by("spread"), -1], disagreement: [by("disagreement"), -1], hard: [by("dice"), 1], easy: [by("dice"), -1],
  };
  const names = new Intl.Collator(undefined, {numeric: true});
  const compare = how => {
    if (how === "name") return (a, b) => names.compare(a.dataset.title, b.dataset.title);
    const [value, sign] = orders[how];
    return (a, b) => sign * (value(a) - value(b));
  };
  root.querySelector("select").addEventListener("change",
    event => rows.append(...[...rows.children].sort(compare(event.target.value))));
  root.querySelector("[type=range]").addEventListener("input",
    event => root.style.setProperty("--tile", `${event.target.value}px`));
  root.querySelector("[type=checkbox]")?.addEventListener("change",
    event => root.classList.toggle("classes", event.target.checked));
})();
