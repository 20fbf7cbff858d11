// Builds a message from its tree: [name, attributes, child…] or text. Creates only the elements listed here.

import { element } from "/web/units.js";

const ELEMENTS = new Set(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "em", "strong", "s", "span", "code", "pre", "br", "hr", "table", "thead", "tbody", "tr", "th", "td", "a"]);
const LINK = /^(https?:|mailto:)/i;

/** The nodes of a tree, for `append`. */
export function nodes(tree) {
  return tree.map((node) => (typeof node === "string" ? node : build(node)));
}

function build([name, attributes, ...children]) {
  // A message's headings are below the page's own in the outline.
  const heading = /^h([1-6])$/.exec(name);
  const tag = heading ? `h${Math.min(6, Number(heading[1]) + 3)}` : ELEMENTS.has(name) ? name : "span";
  const created = element(tag, "", ...nodes(children));
  // A long line is scrolled with the keyboard, too.
  if (tag === "pre") created.tabIndex = 0;
  if (tag === "a" && LINK.test(attributes.href)) {
    created.href = attributes.href;
    created.rel = "noopener noreferrer nofollow";
    created.target = "_blank";
  }
  return created;
}
