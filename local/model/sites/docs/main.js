"use strict";

// Everything here is a convenience: without script the pages read the same.
const status = document.querySelector("[data-status]");

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    status.textContent = "Copied";
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}

const search = document.querySelector("[data-search]");
search.hidden = false;
search.querySelector("input").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const group of document.querySelectorAll("[data-group]")) {
    const headings = [...group.querySelectorAll("[data-heading]")];
    const whole = group.firstElementChild.textContent.toLowerCase().includes(wanted);
    for (const heading of headings) heading.hidden = !whole && !heading.textContent.toLowerCase().includes(wanted);
    group.hidden = headings.every((heading) => heading.hidden);
  }
});

// Marks the heading that is being read.
const links = new Map([...document.querySelectorAll(".side a[href*='#']")].map((link) => [link.href, link]));
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.classList.remove("here");
    const page = location.href.split("#")[0].replace(/\/$/, "/index.html");
    links.get(`${page}#${entry.target.id}`)?.classList.add("here");
  }
}, { rootMargin: "-10% 0px -75% 0px" });
for (const heading of document.querySelectorAll("h2[id]")) watcher.observe(heading);
