// Single keys, which can be switched off: they get in the way of speech input.

import { byId } from "/web/units.js";

const KEPT = "trioworker.keys";

/** Call `acts[key]` when a key is pressed outside of a field. */
export function listen(acts) {
  const on = byId("keys-on");
  on.checked = localStorage.getItem(KEPT) !== "off";
  on.addEventListener("change", () => localStorage.setItem(KEPT, on.checked ? "on" : "off"));
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("help-close").addEventListener("click", () => byId("help").close());
  const all = { ...acts, "?": () => byId("help").showModal() };
  document.addEventListener("keydown", (press) => {
    const field = press.target.closest("textarea, input, dialog");
    if (press.key === "Escape" && field?.matches("textarea")) byId("log").focus();
    if (field || press.ctrlKey || press.altKey || press.metaKey || !on.checked) return;
    const act = Object.hasOwn(all, press.key) ? all[press.key] : null;
    if (!act) return;
    press.preventDefault();
    act();
  });
}
