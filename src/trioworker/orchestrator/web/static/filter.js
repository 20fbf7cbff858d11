// Search and filter within a job. Matches are highlighted without changing the document, where the browser can do that.

import { byId, count } from "/web/units.js";

const DELAY = 150; // milliseconds
const MAX_MARKS = 500;
const MAX_OPENED = 30; // calls, whose match may be in their output
const KINDS = {
  all: () => true,
  messages: (entry) => entry.kind === "messages",
  tools: (entry) => entry.kind === "tools",
  failures: (entry) => entry.failed,
};

/** Hides the entries of `events` that don't match. */
export class Filter {
  constructor(events) {
    this.events = events;
    this.field = byId("search");
    this.field.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.apply(), DELAY);
    });
    byId("kinds").addEventListener("change", () => this.apply());
  }

  get kind() {
    return byId("kinds").querySelector(":checked").value;
  }

  get words() {
    return this.field.value.trim().toLowerCase();
  }

  get isActive() {
    return this.kind !== "all" || this.words !== "";
  }

  clear() {
    this.field.value = "";
    byId("kinds").querySelector("[value=all]").checked = true;
    this.apply();
  }

  /** Show or hide one entry, which is new or has changed. */
  applyTo(entry) {
    if (this.isActive) entry.item.hidden = !this.matches(entry);
    if (this.isActive) this.showCount();
  }

  matches(entry) {
    return KINDS[this.kind](entry) && (this.words === "" || entry.text.toLowerCase().includes(this.words));
  }

  apply() {
    const { entries } = this.events;
    for (const entry of entries) entry.item.hidden = !this.matches(entry);
    const shown = entries.filter(({ item }) => !item.hidden);
    if (this.words && shown.length <= MAX_OPENED) for (const { call } of shown) call?.open();
    this.showCount();
    this.mark();
  }

  showCount() {
    const { entries } = this.events;
    const shown = entries.filter(({ item }) => !item.hidden).length;
    byId("matches").textContent = this.isActive ? `${count(shown)} of ${count(entries.length)}` : "";
    byId("no-match").hidden = !this.isActive || shown > 0;
  }

  mark() {
    if (!globalThis.CSS?.highlights) return;
    CSS.highlights.delete("found");
    if (!this.words) return;
    const marks = [];
    const walker = document.createTreeWalker(this.events.list, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node && marks.length < MAX_MARKS; node = walker.nextNode()) {
      const text = node.data.toLowerCase();
      // Lower case may be longer than the text.
      if (text.length !== node.data.length) continue;
      for (let at = text.indexOf(this.words); at >= 0; at = text.indexOf(this.words, at + this.words.length)) {
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, at + this.words.length);
        marks.push(range);
      }
    }
    CSS.highlights.set("found", new Highlight(...marks));
  }
}
