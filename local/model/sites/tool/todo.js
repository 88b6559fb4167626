"use strict";

const KEY = "tasks";
const list = document.querySelector("[data-list]");
const form = document.querySelector("[data-add]");
const field = document.querySelector("#new-task");
const count = document.querySelector("[data-count]");
const empty = document.querySelector("[data-empty]");
const clear = document.querySelector("[data-clear]");
const filters = [...document.querySelectorAll("[data-filter]")];
const shows = { all: () => true, open: (task) => !task.done, done: (task) => task.done };

const first = [
  { text: "Write down what matters today", done: true },
  { text: "Do the smallest thing first", done: false },
  { text: "Take a walk before lunch", done: false },
];
let tasks = load() ?? first;
let filter = "all";

// Private windows may refuse to store anything: the list then lives as long as the page.
function load() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null;
  }
}

function save() {
  try {
    localStorage.setItem(KEY, JSON.stringify(tasks));
  } catch {
    // Nothing to do: see load().
  }
  draw();
}

function row(task) {
  const item = document.createElement("li");
  item.className = task.done ? "task done" : "task";
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = task.done;
  box.addEventListener("change", () => {
    task.done = box.checked;
    save();
  });
  const text = document.createElement("span");
  text.textContent = task.text;
  label.append(box, text);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "×";
  remove.setAttribute("aria-label", `Remove “${task.text}”`);
  remove.addEventListener("click", () => {
    tasks = tasks.filter((other) => other !== task);
    save();
    field.focus();
  });
  item.append(label, remove);
  return item;
}

function draw() {
  const shown = tasks.filter(shows[filter]);
  list.replaceChildren(...shown.map(row));
  list.hidden = shown.length === 0;
  empty.hidden = shown.length > 0;
  const open = tasks.filter(shows.open).length;
  count.textContent = open === 1 ? "1 task left" : `${open} tasks left`;
  clear.hidden = open === tasks.length;
  for (const chip of filters) chip.setAttribute("aria-pressed", String(chip.dataset.filter === filter));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (text) {
    tasks.push({ text, done: false });
    field.value = "";
    save();
  }
});
clear.addEventListener("click", () => {
  tasks = tasks.filter(shows.open);
  save();
});
for (const chip of filters) {
  chip.addEventListener("click", () => {
    filter = chip.dataset.filter;
    draw();
  });
}
draw();
