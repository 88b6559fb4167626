"use strict";

// Without script each picture is a link to its file; script shows it large on the page.
const large = document.querySelector("[data-large]");
const pictures = [...document.querySelectorAll("[data-picture]")];
let shown = 0;

function show(index) {
  shown = (index + pictures.length) % pictures.length;
  const { href, dataset } = pictures[shown];
  large.querySelector("img").src = href;
  large.querySelector("p").textContent = dataset.picture;
  if (!large.open) large.showModal();
}

for (const [index, picture] of pictures.entries()) {
  picture.addEventListener("click", (event) => {
    event.preventDefault();
    show(index);
  });
}
large.querySelector("[data-next]").addEventListener("click", () => show(shown + 1));
large.querySelector("[data-close]").addEventListener("click", () => large.close());
large.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight") show(shown + 1);
  if (event.key === "ArrowLeft") show(shown - 1);
});
