// Buttons that copy a text to the clipboard.

import { element } from "/web/units.js";

const SHOWN = 2000; // milliseconds

/** A button that copies `text`, or what the function `text` returns. `what` names it for screen readers. */
export function copyButton(what, text) {
  const button = element("button", "copy", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy ${what}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "function" ? text() : text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => (button.textContent = "Copy"), SHOWN);
  });
  return button;
}
