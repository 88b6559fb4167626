"use strict";

// The filter works on the rows that are there; without script it is not shown.
const find = document.querySelector("[data-find]");
const none = document.querySelector("[data-none]");
const rows = [...document.querySelectorAll("tbody tr")];

find.hidden = false;
find.querySelector("input").addEventListener("input", (event) => {
  const wanted = event.target.value.trim().toLowerCase();
  for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  none.textContent = rows.every((row) => row.hidden) ? none.dataset.text : "";
});
