// Put into every page of a preview: swaps style sheets and reloads the page when the project's files change.
(() => {
  const KEY = "sandwright:scroll:" + location.pathname;
  const remembered = (action) => { try { return action(sessionStorage); } catch { return null; } };
  const place = remembered((store) => { const at = store.getItem(KEY); store.removeItem(KEY); return at; });
  if (place) {
    const [x, y] = JSON.parse(place);
    const restore = () => scrollTo({ left: x, top: y, behavior: "instant" });
    restore();
    addEventListener("load", restore, { once: true });
  }
  let timer = 0;
  const reload = () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      remembered((store) => store.setItem(KEY, JSON.stringify([scrollX, scrollY])));
      location.reload();
    }, 120);
  };
  const sheet = (path) => [...document.querySelectorAll('link[rel~="stylesheet"][href]')].find((link) => {
    const url = new URL(link.href);
    return url.origin === location.origin && decodeURIComponent(url.pathname) === "/" + path;
  });
  const swap = (link) => {
    const url = new URL(link.href);
    url.searchParams.set("sandwright", Date.now());
    const next = link.cloneNode();
    next.href = url.href;
    next.onload = next.onerror = () => link.remove();
    link.after(next);
  };
  // Of the files that this page was made from: what changed since, before anybody listened, is not missed.
  let version = new URL(document.currentScript.src).search.slice(1);
  const events = new EventSource("/__sandwright/events");
  events.addEventListener("version", (event) => {
    if (version !== event.data) reload();
  });
  events.addEventListener("change", (event) => {
    const { version: now, paths } = JSON.parse(event.data);
    if (version === now) return;
    version = now;
    const sheets = paths.map((path) => path.endsWith(".css") ? sheet(path) : undefined);
    if (sheets.length && sheets.every(Boolean)) sheets.forEach(swap);
    else reload();
  });
  addEventListener("pagehide", () => events.close());
})();
