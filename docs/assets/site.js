// What the theme leaves out for those who read by ear or keyboard: the search has a name, and what scrolls can be reached.
document.querySelector(".md-search")?.setAttribute("aria-label", "Search");

function reach() {
  for (const one of document.querySelectorAll(".md-typeset pre > code, .md-typeset__scrollwrap")) {
    if (one.tabIndex < 0 && one.scrollWidth > one.clientWidth) one.tabIndex = 0;
  }
}

reach();
addEventListener("resize", reach);
new MutationObserver(reach).observe(document.body, { childList: true, subtree: true });
