"use strict";

const past = document.querySelector("[data-past]");
const now = document.querySelector("[data-now]");
const SIGNS = { "+": "+", "-": "−", "*": "×", "/": "÷" };
const MAX_DIGITS = 14;

const apply = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
};
const fresh = () => ({ entry: "0", left: null, sign: null, typed: false, note: "" });
let state = fresh();

// Binary fractions show as 0.30000000000000004: twelve digits are what they mean.
function tidy(value) {
  if (!Number.isFinite(value)) return "Not a number";
  const rounded = Number(value.toPrecision(12));
  return Math.abs(rounded) >= 1e14 ? rounded.toExponential(6) : String(rounded);
}

function settle() {
  if (state.sign === null || state.left === null) return;
  const result = tidy(apply[state.sign](state.left, Number(state.entry)));
  state.note = `${tidy(state.left)} ${SIGNS[state.sign]} ${state.entry} =`;
  state.entry = result;
  state.left = null;
  state.sign = null;
  state.typed = false;
}

function digit(key) {
  if (!state.typed) state.entry = key === "." ? "0." : key;
  else if (key === "." && state.entry.includes(".")) return;
  else if (state.entry.replace(/\D/g, "").length < MAX_DIGITS) state.entry = state.entry === "0" && key !== "." ? key : state.entry + key;
  state.typed = true;
}

function operator(key) {
  if (state.sign !== null && state.typed) settle();
  state.left = Number(state.entry);
  state.sign = key;
  state.typed = false;
  state.note = `${tidy(state.left)} ${SIGNS[key]}`;
}

function press(key) {
  if (!Number.isFinite(Number(state.entry))) state = fresh();
  if (/^[\d.]$/.test(key)) digit(key);
  else if (key in SIGNS) operator(key);
  else if (key === "=") settle();
  else if (key === "%") {
    state.entry = tidy((state.left === null ? 1 : state.left) * (Number(state.entry) / 100));
    state.typed = true;
  } else if (key === "Backspace") state.entry = state.typed && state.entry.length > 1 ? state.entry.slice(0, -1) : "0";
  else if (key === "C") state = fresh();
  draw();
}

function draw() {
  past.textContent = state.note;
  now.textContent = state.entry.replace("-", "−");
}

for (const button of document.querySelectorAll("[data-key]")) {
  button.addEventListener("click", () => press(button.dataset.key));
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  // Enter on a focused key presses that key, as everywhere.
  if (event.key === "Enter" && event.target instanceof HTMLButtonElement) return;
  const key = { Enter: "=", ",": ".", Escape: "C", Delete: "C" }[event.key] ?? event.key;
  if (!/^([\d.+\-*/=%C]|Backspace)$/.test(key)) return;
  event.preventDefault();
  press(key);
});
