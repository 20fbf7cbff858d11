// Keyboard shortcuts of a single key. They can be turned off, since they interfere with speech input.

import { byId } from "/web/units.js";

const SETTING = "trioworker.keys";

/** Call `actions[key]` when a key is pressed outside of input fields and dialogs. */
export function bindKeys(actions) {
  const on = byId("keys-on");
  on.checked = localStorage.getItem(SETTING) !== "off";
  on.addEventListener("change", () => localStorage.setItem(SETTING, on.checked ? "on" : "off"));
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("help-close").addEventListener("click", () => byId("help").close());
  const all = { ...actions, "?": () => byId("help").showModal() };
  document.addEventListener("keydown", (press) => {
    const field = press.target.closest("textarea, input, select, dialog");
    if (press.key === "Escape" && field && !field.matches("dialog") && !field.closest("dialog")) byId("log").focus();
    if (field || press.ctrlKey || press.altKey || press.metaKey || !on.checked) return;
    const action = Object.hasOwn(all, press.key) ? all[press.key] : null;
    if (!action) return;
    press.preventDefault();
    action();
  });
}
