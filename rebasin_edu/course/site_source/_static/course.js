// Widgets ask MathJax 2 to set the formulas in their labels; the page has MathJax 3.
(() => {
  let mathjax = window.MathJax;
  const queue = task => {
    const element = Array.isArray(task) ? task[2] : null;
    if (element && mathjax.typesetPromise) mathjax.typesetPromise([element]);
  };
  const withHub = value => {
    if (value && value.version && !value.Hub) value.Hub = {Queue: queue};
    return value;
  };
  withHub(mathjax);
  Object.defineProperty(window, "MathJax", {
    configurable: true, get: () => mathjax, set: value => { mathjax = withHub(value); },
  });
})();

// A handle of a slider has no accessible name of its own: it gets the label that stands beside it.
function nameSliders() {
  document.querySelectorAll("[role=slider]:not([aria-label])").forEach(handle => {
    const label = handle.closest(".widget-inline-hbox")?.querySelector(".widget-label");
    if (label) handle.setAttribute("aria-label", label.textContent);
  });
}

// What scrolls sideways can be scrolled by keyboard.
function focusScrollers() {
  document.querySelectorAll("pre, .cell_output, table.docutils, div.math").forEach(box => {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("[role=heading]:not([aria-level])").forEach(
    caption => caption.setAttribute("aria-level", "2"));  // the theme leaves the level out
  nameSliders();
  focusScrollers();
  new MutationObserver(nameSliders).observe(document.body, {childList: true, subtree: true});
  new ResizeObserver(focusScrollers).observe(document.body);
});
