"use strict";

// Each unit as [name, factor to the base unit, offset]; only temperature has an offset.
const UNITS = {
  Length: [["metres", 1], ["kilometres", 1000], ["centimetres", 0.01], ["millimetres", 0.001], ["miles", 1609.344], ["yards", 0.9144], ["feet", 0.3048], ["inches", 0.0254]],
  Weight: [["kilograms", 1], ["grams", 0.001], ["tonnes", 1000], ["pounds", 0.45359237], ["ounces", 0.028349523125], ["stone", 6.35029318]],
  Temperature: [["°Celsius", 1, 273.15], ["°Fahrenheit", 5 / 9, 459.67 * (5 / 9)], ["kelvin", 1, 0]],
  Volume: [["litres", 1], ["millilitres", 0.001], ["US gallons", 3.785411784], ["US cups", 0.2365882365], ["tablespoons", 0.01478676478125], ["pints (UK)", 0.56826125]],
  Speed: [["km/h", 1 / 3.6], ["m/s", 1], ["mph", 0.44704], ["knots", 1852 / 3600]],
  Time: [["minutes", 60], ["seconds", 1], ["hours", 3600], ["days", 86400], ["weeks", 604800]],
};

const kinds = document.querySelector("[data-kinds]");
const sentence = document.querySelector("[data-sentence]");
const value = { from: document.querySelector("#from-value"), to: document.querySelector("#to-value") };
const unit = { from: document.querySelector("#from-unit"), to: document.querySelector("#to-unit") };
let kind = "Length";
let edited = "from";

// Nine digits, and what binary fractions leave of a zero is zero.
const format = (number) => String(Math.abs(number) < 1e-12 ? 0 : Number(number.toPrecision(9)));
const find = (side) => UNITS[kind][unit[side].selectedIndex];

function convert(number, from, to) {
  const base = number * from[1] + (from[2] ?? 0);
  return (base - (to[2] ?? 0)) / to[1];
}

function update() {
  const other = edited === "from" ? "to" : "from";
  const text = value[edited].value.trim().replace(",", ".");
  const number = Number(text);
  if (text === "" || !Number.isFinite(number)) {
    value[other].value = "";
    sentence.textContent = "Type a number to convert.";
    return;
  }
  value[other].value = format(convert(number, find(edited), find(other)));
  sentence.textContent = `${value.from.value} ${find("from")[0]} = ${value.to.value} ${find("to")[0]}`;
}

function choose(next) {
  kind = next;
  for (const side of ["from", "to"]) {
    unit[side].replaceChildren(...UNITS[kind].map(([name]) => new Option(name, name)));
  }
  unit.to.selectedIndex = 1;
  for (const chip of kinds.children) chip.setAttribute("aria-pressed", String(chip.textContent === kind));
  edited = "from";
  update();
}

for (const name of Object.keys(UNITS)) {
  const chip = document.createElement("button");
  chip.type = "button";
  chip.className = "chip";
  chip.textContent = name;
  chip.addEventListener("click", () => choose(name));
  kinds.append(chip);
}
for (const side of ["from", "to"]) {
  value[side].addEventListener("input", () => {
    edited = side;
    update();
  });
  unit[side].addEventListener("change", update);
}
document.querySelector("[data-swap]").addEventListener("click", () => {
  const index = unit.from.selectedIndex;
  unit.from.selectedIndex = unit.to.selectedIndex;
  unit.to.selectedIndex = index;
  edited = "from";
  update();
});
choose(kind);
