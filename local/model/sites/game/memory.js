"use strict";

{% include "game/shared.js" %}

// Eight shapes on a 40 × 40 field, each with the name that a screen reader says.
const SHAPES = [
  ["circle", "M20 4a16 16 0 1 1 0 32 16 16 0 0 1 0-32z"],
  ["square", "M6 6h28v28H6z"],
  ["triangle", "M20 4l17 32H3z"],
  ["star", "M20 2l5 12 13 1-10 9 3 13-11-7-11 7 3-13L2 15l13-1z"],
  ["heart", "M20 36C-4 20 4 4 13 5c4 0 6 3 7 6 1-3 3-6 7-6 9-1 17 15-7 31z"],
  ["moon", "M26 4a17 17 0 1 0 10 26A16 16 0 0 1 26 4z"],
  ["cross", "M14 4h12v10h10v12H26v10H14V26H4V14h10z"],
  ["drop", "M20 2c9 12 13 18 13 24a13 13 0 0 1-26 0c0-6 4-12 13-24z"],
];
const SHOW_MS = 900;
const cards = get("cards");
let open = [], moves = 0, found = 0, waiting = 0;

function shuffled(items) {
  const deck = [...items];
  for (let index = deck.length - 1; index > 0; index -= 1) {
    const other = Math.floor(Math.random() * (index + 1));
    [deck[index], deck[other]] = [deck[other], deck[index]];
  }
  return deck;
}

function card([name, path], index) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.name = name;
  const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  picture.setAttribute("viewBox", "0 0 40 40");
  picture.setAttribute("aria-hidden", "true");
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
  shape.setAttribute("d", path);
  picture.append(shape);
  button.append(picture);
  button.dataset.place = index + 1;
  label(button);
  button.addEventListener("click", () => turn(button));
  return button;
}

function label(button) {
  const state = button.classList.contains("found") ? ", found" : "";
  const shown = button.classList.contains("open") ? `: ${button.dataset.name}${state}` : ", face down";
  button.setAttribute("aria-label", `Card ${button.dataset.place}${shown}`);
}

function show(button, isOpen) {
  button.classList.toggle("open", isOpen);
  label(button);
}

function hide() {
  clearTimeout(waiting);
  waiting = 0;
  for (const button of open) show(button, false);
  open = [];
}

function turn(button) {
  if (button.classList.contains("open")) return;
  if (open.length === 2) hide();
  show(button, true);
  open.push(button);
  if (open.length < 2) return;
  moves += 1;
  const [one, two] = open;
  if (one.dataset.name === two.dataset.name) {
    found += 1;
    open = [];
    for (const match of [one, two]) {
      match.classList.add("found");
      label(match);
    }
    get("message").textContent = found === SHAPES.length ? win() : `A pair: ${one.dataset.name}.`;
  } else {
    get("message").textContent = `${one.dataset.name} and ${two.dataset.name}: no pair.`;
    waiting = setTimeout(hide, SHOW_MS);
  }
  draw();
}

// Fewer moves are better, so the best score is kept as what is left of a hundred.
function win() {
  best.offer(100 - moves);
  return `All eight pairs in ${moves} moves. Shuffle for another round.`;
}

function draw() {
  get("moves").textContent = moves;
  get("pairs").textContent = found;
  get("best").textContent = best.value ? 100 - best.value : "–";
}

function deal() {
  hide();
  moves = 0;
  found = 0;
  get("message").textContent = "Turn two cards.";
  cards.replaceChildren(...shuffled([...SHAPES, ...SHAPES]).map(card));
  draw();
}

get("start").addEventListener("click", deal);
best.load();
deal();
