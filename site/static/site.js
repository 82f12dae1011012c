/* From a folder, without a server, a browser does not load the pages that a search found: show their titles only. */
if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS !== "undefined") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

/* A box that scrolls can be reached with the keyboard. */
const reachBoxes = () => {
  for (const box of document.querySelectorAll("pre, .output, .table-wrapper, mjx-container")) {
    if (box.scrollWidth > box.clientWidth && box.clientWidth) box.tabIndex = 0;
  }
};
addEventListener("load", reachBoxes);
addEventListener("resize", reachBoxes);

/* A figure is as wide as the page. On a phone, a tap shows it in its own size, in a box that scrolls, and back. */
addEventListener("click", ({ target }) => {
  if (!(target instanceof HTMLImageElement) || target.closest("a, .sidebar-drawer")) return;
  if (target.classList.contains("large") || target.naturalWidth > target.clientWidth) {
    target.classList.toggle("large");
    target.parentElement.classList.toggle("scrolls", target.classList.contains("large"));
  }
});
