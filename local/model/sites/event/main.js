"use strict";

// The days until the doors open; nothing is shown without script.
const line = document.querySelector("[data-until]");
const DAY = 86_400_000;

function say() {
  const left = new Date(`${line.dataset.until}T09:00`) - Date.now();
  const days = Math.floor(left / DAY);
  if (left < -2 * DAY) line.textContent = "It was lovely. See you next time.";
  else if (left <= 0) line.textContent = "It is happening now.";
  else if (days === 0) line.textContent = "Tomorrow.";
  else line.textContent = `${days.toLocaleString("en")} ${days === 1 ? "day" : "days"} to go`;
  line.hidden = false;
}

say();
setInterval(say, 60_000);
