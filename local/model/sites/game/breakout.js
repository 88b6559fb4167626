"use strict";

{% include "game/shared.js" %}

const ROWS = 5;
const COLUMNS = 8;
const GAP = 8;
const TOP = 46;
const BRICK = { width: (480 - GAP * (COLUMNS + 1)) / COLUMNS, height: 20 };
const PADDLE = { width: 84, height: 12, speed: 440 };
const BALL = 8;
const SHADES = ["accent", "accent", "accent-ink", "muted", "edge"];

const canvas = get("canvas");
const pen = canvas.getContext("2d");
const veil = get("veil");
const held = new Set();
let bricks, paddle, ball, score, lives, level, running = false, last = 0;

function wall() {
  bricks = [];
  for (let row = 0; row < ROWS; row += 1) {
    for (let column = 0; column < COLUMNS; column += 1) {
      bricks.push({ x: GAP + column * (BRICK.width + GAP), y: TOP + row * (BRICK.height + GAP), row });
    }
  }
}

function serve() {
  paddle = (canvas.width - PADDLE.width) / 2;
  const speed = 250 + level * 30;
  const angle = -Math.PI / 2 + (Math.random() - 0.5);
  ball = { x: canvas.width / 2, y: canvas.height - 60, vx: Math.cos(angle) * speed, vy: Math.sin(angle) * speed };
}

function reset() {
  score = 0;
  lives = 3;
  level = 0;
  wall();
  serve();
}

function block(x, y, width, height, fill) {
  pen.fillStyle = fill;
  pen.beginPath();
  pen.roundRect(x, y, width, height, 5);
  pen.fill();
}

function draw() {
  pen.fillStyle = color("bg");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  for (const brick of bricks) block(brick.x, brick.y, BRICK.width, BRICK.height, color(SHADES[brick.row]));
  block(paddle, canvas.height - 28, PADDLE.width, PADDLE.height, color("ink"));
  pen.fillStyle = color("ink");
  pen.beginPath();
  pen.arc(ball.x, ball.y, BALL, 0, 2 * Math.PI);
  pen.fill();
  get("score").textContent = score;
  get("best").textContent = best.value;
  get("lives").textContent = lives;
}

function bounce() {
  if (ball.x < BALL && ball.vx < 0) ball.vx = -ball.vx;
  if (ball.x > canvas.width - BALL && ball.vx > 0) ball.vx = -ball.vx;
  if (ball.y < BALL && ball.vy < 0) ball.vy = -ball.vy;
  const low = canvas.height - 28;
  if (ball.vy > 0 && ball.y > low - BALL && ball.y < low + PADDLE.height && ball.x > paddle - BALL && ball.x < paddle + PADDLE.width + BALL) {
    // Where the ball meets the paddle decides where it goes: aiming is the game.
    const speed = Math.hypot(ball.vx, ball.vy);
    const angle = -Math.PI / 2 + ((ball.x - paddle) / PADDLE.width - 0.5) * 2;
    ball.vx = Math.cos(angle) * speed;
    ball.vy = Math.sin(angle) * speed;
  }
  const hit = bricks.find((brick) => ball.x > brick.x - BALL && ball.x < brick.x + BRICK.width + BALL && ball.y > brick.y - BALL && ball.y < brick.y + BRICK.height + BALL);
  if (hit) {
    const beside = ball.x < hit.x || ball.x > hit.x + BRICK.width;
    if (beside) ball.vx = -ball.vx;
    else ball.vy = -ball.vy;
    bricks = bricks.filter((brick) => brick !== hit);
    score += ROWS - hit.row;
    best.offer(score);
  }
}

function frame(now) {
  if (!running) return;
  // A tab that was asleep must not make the ball jump through the wall.
  const seconds = Math.min(0.02, (now - last) / 1000);
  last = now;
  const move = (held.has("ArrowRight") || held.has("d") ? 1 : 0) - (held.has("ArrowLeft") || held.has("a") ? 1 : 0);
  paddle = Math.max(0, Math.min(canvas.width - PADDLE.width, paddle + move * PADDLE.speed * seconds));
  ball.x += ball.vx * seconds;
  ball.y += ball.vy * seconds;
  bounce();
  if (bricks.length === 0) {
    level += 1;
    wall();
    serve();
  }
  if (ball.y > canvas.height + BALL) {
    lives -= 1;
    if (lives === 0) return over();
    serve();
  }
  draw();
  requestAnimationFrame(frame);
}

function start() {
  reset();
  running = true;
  veil.hidden = true;
  canvas.focus();
  last = performance.now();
  requestAnimationFrame(frame);
}

function over() {
  running = false;
  draw();
  get("message").textContent = `${score} points. Again?`;
  get("start").textContent = "Play again";
  veil.hidden = false;
  get("start").focus();
}

document.addEventListener("keydown", (event) => {
  if (!running || !["ArrowLeft", "ArrowRight", "a", "d"].includes(event.key)) return;
  held.add(event.key);
  event.preventDefault();
});
document.addEventListener("keyup", (event) => held.delete(event.key));
addEventListener("blur", () => held.clear());
for (const button of document.querySelectorAll("[data-go]")) {
  button.addEventListener("pointerdown", () => held.add(button.dataset.go));
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) button.addEventListener(end, () => held.delete(button.dataset.go));
}
canvas.addEventListener("pointermove", (event) => {
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * canvas.width;
  if (running) paddle = Math.max(0, Math.min(canvas.width - PADDLE.width, x - PADDLE.width / 2));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
get("start").addEventListener("click", start);
best.load();
reset();
draw();
