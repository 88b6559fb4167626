// Makes a page look like other HTML, changing as little as possible: what is alike stays, with its scroll place and focus.
const KEPT = 'link[rel~="stylesheet"], style';

const alike = (one, other) =>
  one.nodeType === other.nodeType && one.nodeName === other.nodeName && (one.id ?? "") === (other.id ?? "");

const sameAddress = (one, other) => {
  try {
    const [first, second] = [one, other].map((href) => new URL(href, location.href));
    first.searchParams.delete("sandwright");
    return first.href === second.href;
  } catch { return false; }
};

const attributes = (from, to) => {
  for (const attribute of to.attributes) {
    const { name, value } = attribute;
    const swapped = name === "href" && from.nodeName === "LINK" && sameAddress(from.href, value);
    // As a node: HTML has names that setAttribute refuses.
    if (!swapped && from.getAttribute(name) !== value) from.setAttributeNode(attribute.cloneNode());
  }
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name)) from.removeAttribute(name);
};

const become = (from, to) => {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== Node.ELEMENT_NODE) {
    from.data = to.data;
    return;
  }
  attributes(from, to);
  if (from.nodeName !== "SCRIPT") children(from, to);
};

const children = (from, to) => {
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    let match = at;
    while (match && !alike(match, next)) match = match.nextSibling;
    if (!match) {
      from.insertBefore(document.importNode(next, true), at);
      continue;
    }
    if (match === at) at = at.nextSibling;
    else from.insertBefore(match, at);
    become(match, next);
  }
  while (at) {
    const rest = at;
    at = at.nextSibling;
    // Of a head that is being written again the sheets come later: until then the page keeps those that it has.
    if (!(from.nodeName === "HEAD" && rest.matches?.(KEPT))) rest.remove();
  }
};

export const morph = (page, html) => {
  const next = new DOMParser().parseFromString(html, "text/html");
  // Scripts of a draft wait until it is written.
  for (const script of next.querySelectorAll("script")) script.type = "text/plain";
  become(page.documentElement, next.documentElement);
};
