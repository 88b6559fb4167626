"use strict";

// Printing needs script; the page itself is laid out for paper.
const button = document.querySelector("[data-print]");
button.hidden = false;
button.addEventListener("click", () => window.print());
