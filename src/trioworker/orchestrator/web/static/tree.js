// Builds a message from its tree: [name, attributes, child…] or text. Only these elements are ever made.

import { element } from "/web/units.js";

const ELEMENTS = new Set(["p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "em", "strong", "s", "span", "code", "pre", "br", "hr", "table", "thead", "tbody", "tr", "th", "td", "a"]);
const LINK = /^(https?:|mailto:)/i;

/** The nodes of a tree, for `append`. */
export function nodes(tree) {
  return tree.map((node) => (typeof node === "string" ? node : built(node)));
}

function built([name, attributes, ...children]) {
  // A message is a part of the page: its headings stand below the page's own.
  const heading = /^h([1-6])$/.exec(name);
  const tag = heading ? `h${Math.min(6, Number(heading[1]) + 2)}` : ELEMENTS.has(name) ? name : "span";
  const made = element(tag, "", ...nodes(children));
  if (tag === "a" && LINK.test(attributes.href)) {
    made.href = attributes.href;
    made.rel = "noopener noreferrer nofollow";
    made.target = "_blank";
  }
  return made;
}
