"use strict";

const MODES = {
  focus: { minutes: 25, phase: "Time to focus" },
  short: { minutes: 5, phase: "Look out of the window" },
  long: { minutes: 15, phase: "Go for a walk" },
};
const ROUNDS = 4;
const get = (name) => document.querySelector(`[data-${name}]`);
const [time, phase, ring, toggle, reset, status, rounds] = ["time", "phase", "ring", "toggle", "reset", "status", "rounds"].map(get);
const chips = [...document.querySelectorAll("[data-mode]")];
const around = 2 * Math.PI * 54;
const title = document.title;

let mode = "focus";
let left = MODES.focus.minutes * 60;
let ends = 0;
let ticking = 0;
let finished = 0;

function draw() {
  const clock = `${String(Math.floor(left / 60)).padStart(2, "0")}:${String(left % 60).padStart(2, "0")}`;
  time.textContent = clock;
  document.title = ticking ? `${clock} · ${title}` : title;
  ring.style.strokeDasharray = around;
  ring.style.strokeDashoffset = around * (1 - left / (MODES[mode].minutes * 60));
  toggle.textContent = ticking ? "Pause" : "Start";
  for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.mode === mode));
  [...rounds.children].forEach((dot, index) => dot.classList.toggle("full", index < (finished ? ((finished - 1) % ROUNDS) + 1 : 0)));
}

function pause() {
  clearInterval(ticking);
  ticking = 0;
}

function choose(next) {
  pause();
  mode = next;
  left = MODES[mode].minutes * 60;
  phase.textContent = MODES[mode].phase;
  draw();
}

function done() {
  if (mode === "focus") finished += 1;
  const next = mode !== "focus" ? "focus" : finished % ROUNDS === 0 ? "long" : "short";
  status.textContent = mode === "focus" ? "Round finished. Take a break." : "Break is over.";
  choose(next);
}

// Counting from the clock, not from ticks: a sleeping tab must not stretch the hour.
function tick() {
  left = Math.max(0, Math.round((ends - Date.now()) / 1000));
  if (left === 0) done();
  else draw();
}

toggle.addEventListener("click", () => {
  if (ticking) pause();
  else {
    ends = Date.now() + left * 1000;
    ticking = setInterval(tick, 250);
  }
  draw();
});
reset.addEventListener("click", () => choose(mode));
for (const chip of chips) chip.addEventListener("click", () => choose(chip.dataset.mode));
draw();
