"use strict";

// The search filters what is on the page; without script it is not shown.
const search = document.querySelector("[data-search]");
if (search) {
  search.hidden = false;
  const entries = [...document.querySelectorAll("[data-entry]")];
  const none = document.querySelector("[data-none]");
  search.querySelector("input").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const entry of entries) entry.hidden = !entry.textContent.toLowerCase().includes(wanted);
    none.textContent = entries.every((entry) => entry.hidden) ? "No post speaks of that yet." : "";
  });
}

// Posts: how long they take, and how far one has come.
const prose = document.querySelector("[data-prose]");
if (prose) {
  const WORDS_A_MINUTE = 220;
  const minutes = Math.max(1, Math.round(prose.textContent.split(/\s+/).length / WORDS_A_MINUTE));
  document.querySelector("[data-reading]").textContent = `· ${minutes} min`;
  const bar = document.createElement("div");
  bar.className = "progress";
  document.body.append(bar);
  addEventListener("scroll", () => {
    const room = document.documentElement.scrollHeight - innerHeight;
    bar.style.transform = `scaleX(${room > 0 ? Math.min(1, scrollY / room) : 0})`;
  }, { passive: true });
}
