const get = (name) => document.querySelector(`[data-${name}]`);

// The canvas speaks the page's own colours, and follows when the scheme changes.
const style = getComputedStyle(document.documentElement);
const color = (name) => style.getPropertyValue(`--${name}`).trim();

// Private windows may refuse to store anything: the best score then lives as long as the page.
const best = {
  key: "best-{{ topic }}",
  value: 0,
  load() {
    try {
      this.value = Number(localStorage.getItem(this.key)) || 0;
    } catch {
      this.value = 0;
    }
    return this.value;
  },
  offer(score) {
    if (score <= this.value) return;
    this.value = score;
    try {
      localStorage.setItem(this.key, String(score));
    } catch {
      // Nothing to do: see above.
    }
  },
};
