// In front of every page of a preview: swaps style sheets, repaints drafts and reloads the page when the project changes.
(() => {
  const OURS = "/__sandwright/";
  const QUIET_MS = 75;
  const LONGEST_MS = 1000;
  const me = document.currentScript;
  const place = (path) => (path.endsWith("/") ? path + "index.html" : path).slice(1);
  const decoded = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  // The path of the file that this page is (empty: a page of the preview's own), and of the one that its address means.
  const file = me.dataset.file;
  const meant = place(decoded(location.pathname));
  let version = me.dataset.version;
  me.remove();
  performance.setResourceTimingBufferSize?.(5000);

  // The place that the page was scrolled to outlives a reload.
  const KEY = "sandwright:scroll:" + location.pathname;
  const remembered = (action) => { try { return action(sessionStorage); } catch { return null; } };
  const kept = remembered((store) => { const at = store.getItem(KEY); store.removeItem(KEY); return at; });
  if (kept) {
    const [left, top] = JSON.parse(kept);
    const restore = () => scrollTo({ left, top, behavior: "instant" });
    addEventListener("DOMContentLoaded", restore, { once: true });
    addEventListener("load", restore, { once: true });
  }
  // While a draft is shorter than the page was, where to return to.
  let wanted = null;
  for (const kind of ["wheel", "touchmove", "keydown", "mousedown"]) {
    addEventListener(kind, () => { wanted = null; }, { passive: true, capture: true });
  }

  let timer = 0;
  let first = 0;
  const reload = () => {
    first ||= performance.now();
    clearTimeout(timer);
    timer = setTimeout(() => {
      remembered((store) => store.setItem(KEY, JSON.stringify(wanted ?? [scrollX, scrollY])));
      location.reload();
    }, Math.max(0, Math.min(QUIET_MS, first + LONGEST_MS - performance.now())));
  };

  const pathOf = (address) => {
    try {
      const url = new URL(address, location.href);
      return url.origin === location.origin ? place(decoded(url.pathname)) : null;
    } catch { return null; }
  };
  const uses = (path) => performance.getEntriesByType("resource").some((one) => pathOf(one.name) === path);

  // A new sheet comes before the old one goes: nobody sees the page without.
  const replacements = new Map();
  const imports = (sheet, path) => {
    try {
      return [...sheet.cssRules].some((rule) =>
        rule.href && rule.styleSheet && (pathOf(rule.styleSheet.href) === path || imports(rule.styleSheet, path)));
    } catch { return false; }
  };
  const links = (path) => {
    const coming = new Set(replacements.values());
    return [...document.querySelectorAll('link[rel~="stylesheet"][href]')].filter((link) =>
      !coming.has(link) && pathOf(link.href) !== null &&
      (path === undefined || pathOf(link.href) === path || (link.sheet && imports(link.sheet, path))));
  };
  const swap = (link) => {
    replacements.get(link)?.remove();
    const url = new URL(link.href);
    url.searchParams.set("sandwright", Date.now());
    const next = link.cloneNode();
    next.href = url.href;
    next.onload = next.onerror = () => {
      if (replacements.get(link) !== next) return;
      replacements.delete(link);
      link.remove();
    };
    replacements.set(link, next);
    link.after(next);
  };

  // A draft is painted into the page as it stands; what was written is loaded anew, with its scripts.
  let painting = false;
  let again = false;
  const load = window.fetch;
  const repaint = async () => {
    again = true;
    if (painting) return;
    painting = true;
    try {
      const { morph } = await import(OURS + "repaint.js");
      while (again) {
        again = false;
        const answer = await load(location.href, { headers: { Accept: "text/html" }, cache: "no-cache" });
        const html = await answer.text();
        if (document.readyState === "loading") {
          await new Promise((done) => addEventListener("DOMContentLoaded", done, { once: true }));
        }
        wanted ??= [scrollX, scrollY];
        morph(document, html);
        scrollTo({ left: wanted[0], top: wanted[1], behavior: "instant" });
      }
    } catch { /* a policy of the page, or a frame without an origin: it is reloaded when the file is written */ }
    painting = false;
  };

  const isPage = (path) => /\.html?$/.test(path);
  const isSheet = (path) => path.endsWith(".css");
  const changed = (path, kind) => {
    const sheets = isSheet(path) ? links(path) : [];
    if (path === file && kind === "draft") repaint();
    // Something else stands in for the page that is meant, such as one that says that it is missing.
    else if (path === file || path === meant) reload();
    else if (sheets.length) sheets.forEach(swap);
    else if (kind === "draft") return;
    else if (isPage(path) && !file) reload();
    else if ((isPage(path) || isSheet(path)) && !uses(path)) return;
    else reload();
  };

  let events = null;
  let retry = 0;
  let patience = 500;
  const stop = () => { clearTimeout(retry); events?.close(); events = null; };
  const listen = () => {
    stop();
    events = new EventSource(OURS + "events");
    events.onopen = () => { patience = 500; };
    events.onerror = () => {
      // The browser itself comes back only where the connection was cut, not where a proxy answered for a server that starts.
      if (events?.readyState !== EventSource.CLOSED) return;
      stop();
      retry = setTimeout(listen, patience);
      patience = Math.min(patience * 2, 8000);
    };
    // Of what the page shows: what changed before anybody listened is not missed.
    events.addEventListener("version", (event) => {
      const [files, drafts] = event.data.split(".");
      const [shownFiles, shownDrafts] = version.split(".");
      version = event.data;
      if (files !== shownFiles) reload();
      else if (drafts !== shownDrafts) {
        links().forEach(swap);
        if (file) repaint();
        else reload();
      }
    });
    events.addEventListener("change", (event) => {
      const told = JSON.parse(event.data);
      if (told.version === version) return;
      version = told.version;
      Object.entries(told.paths).forEach(([path, kind]) => changed(path, kind));
    });
  };
  // Nobody looks at a hidden page, and a browser keeps few connections to one server.
  const follow = () => { if (document.visibilityState === "hidden") stop(); else if (!events) listen(); };
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", follow);
  follow();
})();
