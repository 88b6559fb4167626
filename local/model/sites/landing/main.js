"use strict";

// Marks today's line in the opening hours and says whether the door is open now.
const status = document.querySelector("[data-status]");
const rows = [...document.querySelectorAll("[data-day]")];
const now = new Date();
const today = rows.find((row) => Number(row.dataset.day) === now.getDay());

const minutes = (time) => {
  const [hours, rest] = time.split(":").map(Number);
  return hours * 60 + rest;
};

if (status && today) {
  today.classList.add("today");
  today.setAttribute("aria-current", "date");
  const clock = now.getHours() * 60 + now.getMinutes();
  const { open, close } = today.dataset;
  if (!open) status.textContent = {{ t.closed_today | tojson }};
  else if (clock < minutes(open)) status.textContent = {{ t.opens | tojson }}.replace("{time}", open);
  else if (clock < minutes(close)) status.textContent = {{ t.open_until | tojson }}.replace("{time}", close);
  else status.textContent = {{ t.closed_now | tojson }};
  status.hidden = false;
}

// The form needs no server: it opens the visitor's own mail with the message filled in.
const form = document.querySelector("[data-mailto]");
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  const fields = new FormData(form);
  const subject = encodeURIComponent({{ t.question | tojson }}.replace("{name}", fields.get("name")));
  const body = encodeURIComponent(`${fields.get("message")}\n\n${fields.get("name")}, ${fields.get("email")}`);
  form.querySelector("[data-note]").textContent = {{ t.sent | tojson }};
  window.location.href = `mailto:${form.dataset.mailto}?subject=${subject}&body=${body}`;
});
