"use strict";

{% include "game/shared.js" %}

const CELLS = 20;
const START_MS = 150;
const FASTEST_MS = 70;
const TURNS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0], w: [0, -1], s: [0, 1], a: [-1, 0], d: [1, 0] };

const canvas = get("canvas");
const pen = canvas.getContext("2d");
const cell = canvas.width / CELLS;
const veil = get("veil");
let snake, food, heading, turns, score, timer, running = false;

function reset() {
  snake = [[9, 10], [8, 10], [7, 10]];
  heading = [1, 0];
  turns = [];
  score = 0;
  feed();
}

function feed() {
  const free = [];
  for (let x = 0; x < CELLS; x += 1) {
    for (let y = 0; y < CELLS; y += 1) {
      if (!snake.some(([sx, sy]) => sx === x && sy === y)) free.push([x, y]);
    }
  }
  food = free[Math.floor(Math.random() * free.length)];
}

function square([x, y], fill, inset, round) {
  pen.fillStyle = fill;
  pen.beginPath();
  pen.roundRect(x * cell + inset, y * cell + inset, cell - 2 * inset, cell - 2 * inset, round);
  pen.fill();
}

function draw() {
  pen.fillStyle = color("bg");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (let x = 0; x < CELLS; x += 1) {
    for (let y = x % 2; y < CELLS; y += 2) {
      pen.fillStyle = color("tint");
      pen.globalAlpha = 0.5;
      pen.fillRect(x * cell, y * cell, cell, cell);
    }
  }
  pen.globalAlpha = 1;
  if (food) square(food, color("accent"), 4, cell);
  snake.forEach((part, index) => square(part, color(index ? "muted" : "ink"), index ? 2 : 1, 6));
  get("score").textContent = score;
  get("best").textContent = best.value;
}

function step() {
  const turn = turns.shift();
  // Turning straight back would be a bite into the neck.
  if (turn && (turn[0] !== -heading[0] || turn[1] !== -heading[1])) heading = turn;
  const head = [snake[0][0] + heading[0], snake[0][1] + heading[1]];
  const outside = head.some((at) => at < 0 || at >= CELLS);
  const eats = food && head[0] === food[0] && head[1] === food[1];
  // The tail moves on unless the snake grows, so its last cell may be entered.
  const body = eats ? snake : snake.slice(0, -1);
  if (outside || body.some(([x, y]) => x === head[0] && y === head[1])) return over();
  snake = [head, ...body];
  if (eats) {
    score += 1;
    best.offer(score);
    feed();
  }
  draw();
  timer = setTimeout(step, Math.max(FASTEST_MS, START_MS - score * 3));
}

function start() {
  clearTimeout(timer);
  reset();
  running = true;
  veil.hidden = true;
  canvas.focus();
  draw();
  timer = setTimeout(step, START_MS);
}

function over() {
  running = false;
  get("message").textContent = score === 1 ? "One bite. Again?" : `${score} bites. Again?`;
  get("start").textContent = "Play again";
  veil.hidden = false;
  get("start").focus();
}

function go(key) {
  const turn = TURNS[key];
  if (turn && running && turns.length < 3) turns.push(turn);
  return Boolean(turn);
}

document.addEventListener("keydown", (event) => {
  if (running && go(event.key)) event.preventDefault();
});
for (const button of document.querySelectorAll("[data-go]")) {
  button.addEventListener("pointerdown", () => go(button.dataset.go));
  button.addEventListener("keydown", (event) => event.key === "Enter" && go(button.dataset.go));
}
let touch = null;
canvas.addEventListener("pointerdown", (event) => (touch = [event.clientX, event.clientY]));
canvas.addEventListener("pointerup", (event) => {
  if (!touch) return;
  const [dx, dy] = [event.clientX - touch[0], event.clientY - touch[1]];
  if (Math.hypot(dx, dy) > 18) go(Math.abs(dx) > Math.abs(dy) ? (dx > 0 ? "ArrowRight" : "ArrowLeft") : dy > 0 ? "ArrowDown" : "ArrowUp");
  touch = null;
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
get("start").addEventListener("click", start);
best.load();
reset();
draw();
