"use strict";

// Filters only make sense with script: they are shown by it.
const bar = document.querySelector("[data-filters]");
const works = [...document.querySelectorAll("[data-tag]")];

if (bar) {
  bar.hidden = false;
  bar.addEventListener("click", (event) => {
    const chosen = event.target.closest("[data-filter]");
    if (!chosen) return;
    for (const button of bar.children) button.setAttribute("aria-pressed", String(button === chosen));
    for (const work of works) work.hidden = chosen.dataset.filter !== "" && work.dataset.tag !== chosen.dataset.filter;
    document.querySelector(".grid").classList.toggle("filtered", chosen.dataset.filter !== "");
  });
}
