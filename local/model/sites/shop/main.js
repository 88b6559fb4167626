"use strict";

// Without script the page is a catalogue and orders go by mail; script adds the filter and the bag.
const bag = new Map();
const things = [...document.querySelectorAll("[data-group]")];
const filters = document.querySelector("[data-filters]");
const order = document.querySelector("[data-order]");
const said = document.querySelector("[data-said]");

filters.hidden = false;
filters.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-filter]");
  if (!chosen) return;
  for (const button of filters.children) button.setAttribute("aria-pressed", String(button === chosen));
  const wanted = chosen.dataset.filter;
  for (const thing of things) thing.hidden = wanted !== "" && thing.dataset.group !== wanted;
});

function show() {
  const lines = [...bag].map(([name, count]) => `${count} × ${name}`);
  document.querySelector("[data-empty]").hidden = lines.length > 0;
  document.querySelector("[data-count]").textContent = [...bag.values()].reduce((sum, count) => sum + count, 0);
  document.querySelector("[data-bag]").replaceChildren(...lines.map((line) => {
    const item = document.createElement("li");
    item.textContent = line;
    return item;
  }));
  order.href = `${order.href.split("?")[0]}?body=${encodeURIComponent(lines.join("\n"))}`;
}

for (const button of document.querySelectorAll("[data-add]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const name = button.dataset.add;
    bag.set(name, (bag.get(name) ?? 0) + 1);
    said.textContent = said.dataset.text.replace("{name}", name);
    show();
  });
}
