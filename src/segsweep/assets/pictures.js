// A click enlarges a picture; arrow keys lead to the ones beside it.
(() => {
  const dialog = document.body.appendChild(document.createElement("dialog"));
  dialog.className = "enlarged";
  dialog.innerHTML = '<img alt=""><p><b></b><span>← → ↑ ↓ other pictures, Esc closes</span></p>';
  const large = dialog.querySelector("img"), told = dialog.querySelector("b");
  let shown = null;
  const all = root => [...root.querySelectorAll("figure.picture img")].filter(img => img.offsetParent);
  const show = img => {
    shown = img;
    dialog.style.setProperty("--ratio", img.naturalWidth / img.naturalHeight || 1);
    large.src = img.src;
    const group = img.closest("[data-title]");
    told.textContent = [group?.dataset.title, img.alt].filter(Boolean).join(" · ");
    if (!dialog.open) dialog.showModal();
  };
  const moved = (list, item, by) => list[(list.indexOf(item) + by + list.length) % list.length];
  const step = (across, down) => {
    const group = shown.closest("[data-title]"), row = all(group ?? document);
    if (!group || across) return show(moved(row, shown, across || down));
    const groups = [...document.querySelectorAll("[data-title]")].filter(other => all(other).length);
    const next = all(moved(groups, group, down));
    show(next[Math.min(row.indexOf(shown), next.length - 1)]);
  };
  document.addEventListener("click", event => {
    if (event.target.matches("figure.picture img")) show(event.target);
    else if (dialog.open && dialog.contains(event.target)) dialog.close();
  });
  document.addEventListener("keydown", event => {
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (dialog.open && moves) { event.preventDefault(); step(...moves); }
    else if (event.key === "Enter" && event.target.matches("figure.picture img")) show(event.target);
  });
  dialog.addEventListener("close", () => shown?.focus());
})();
