"use strict";

const get = (name) => document.querySelector(`[data-${name}]`);
const LINES = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];
const PLACES = ["top left", "top", "top right", "left", "middle", "right", "bottom left", "bottom", "bottom right"];
// How often the machine plays its best move instead of any.
const SKILL = { easy: 0.2, fair: 0.75, hard: 1 };
const THINK_MS = 350;

const grid = get("grid");
const tally = { you: 0, draws: 0, machine: 0 };
let board, ended, thinking, opens = "x";

const free = (cells) => cells.flatMap((mark, index) => (mark ? [] : [index]));
const line = (cells) => LINES.find(([a, b, c]) => cells[a] && cells[a] === cells[b] && cells[a] === cells[c]);

// Minimax: the machine is "o"; sooner wins count for more.
function value(cells, turn, depth) {
  const won = line(cells);
  if (won) return cells[won[0]] === "o" ? 10 - depth : depth - 10;
  if (free(cells).length === 0) return 0;
  const values = free(cells).map((index) => value(cells.with(index, turn), turn === "o" ? "x" : "o", depth + 1));
  return turn === "o" ? Math.max(...values) : Math.min(...values);
}

function choice() {
  const moves = free(board);
  if (Math.random() > SKILL[get("level").value]) return moves[Math.floor(Math.random() * moves.length)];
  const rated = moves.map((index) => [value(board.with(index, "o"), "x", 1), index]);
  return rated.sort((one, two) => two[0] - one[0])[0][1];
}

function draw() {
  const won = line(board);
  [...grid.children].forEach((button, index) => {
    button.textContent = board[index] ? (board[index] === "x" ? "×" : "○") : "";
    button.className = `${board[index]}${won?.includes(index) ? " won" : ""}`;
    const mark = board[index] ? (board[index] === "x" ? "yours" : "the machine’s") : "free";
    button.setAttribute("aria-label", `${PLACES[index]}, ${mark}`);
  });
  for (const name of Object.keys(tally)) get(name).textContent = tally[name];
}

function settle() {
  const won = line(board);
  ended = Boolean(won) || free(board).length === 0;
  if (won) tally[board[won[0]] === "x" ? "you" : "machine"] += 1;
  else if (ended) tally.draws += 1;
  if (won) get("message").textContent = board[won[0]] === "x" ? "You win." : "The machine wins.";
  else get("message").textContent = ended ? "A draw." : "Your move.";
  draw();
}

function answer() {
  thinking = 0;
  board[choice()] = "o";
  settle();
}

function reply() {
  get("message").textContent = "The machine thinks…";
  thinking = setTimeout(answer, THINK_MS);
}

function play(index) {
  if (ended || thinking || board[index]) return;
  board[index] = "x";
  settle();
  if (!ended) reply();
}

function start() {
  clearTimeout(thinking);
  thinking = 0;
  board = Array(9).fill("");
  ended = false;
  get("message").textContent = "Your move.";
  draw();
  if (opens === "o") reply();
  opens = opens === "x" ? "o" : "x";
}

grid.append(...PLACES.map((_, index) => {
  const button = document.createElement("button");
  button.type = "button";
  button.addEventListener("click", () => play(index));
  return button;
}));
get("start").addEventListener("click", start);
start();
