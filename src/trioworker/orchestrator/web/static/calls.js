// A tool call: one line with its outcome, and below it, when it is open, its arguments, changes and output.

import { copyButton } from "/web/copy.js";
import { countOf, diffBox, readDiff } from "/web/diff.js";
import { count, elapsed, element, escapeLine, escapeText, seconds } from "/web/units.js";

const SHOWN_LINES = 12;
const LONG_LINES = 20;
const LONG_CHARACTERS = 4000;
const LONG_DIFF = 60;
// The argument that summarizes a call: the first of these that it has.
const SUMMARY_ARGUMENTS = ["command", "path", "pattern", "file", "url", "query"];
// Arguments that a diff shows, too.
const CHANGE_ARGUMENTS = new Set(["path", "content", "old_string", "new_string", "edits", "patch", "input"]);

/** One call. `failed` is known once it has ended. Its contents are created when it is opened. */
export class Call {
  /** `event` is a `tool_use` event, or the `tool_result` event of an unknown call. */
  constructor(event) {
    this.use = event.type === "tool_use" ? event : null;
    this.result = null;
    this.failed = false;
    this.began = event.at;
    this.name = String(event.data.tool_name ?? "tool");
    this.gist = element("span", "gist", escapeLine(this.use ? gistOf(this.use.data) : ""));
    this.how = element("span", "how", "running");
    this.how.dataset.how = "running";
    // Screen readers announce the outcome, but not each second.
    this.how.setAttribute("aria-live", "off");
    this.inside = element("div", "inside");
    this.details = element("details", "call", element("summary", "", element("b", "", escapeLine(this.name)), this.gist, this.how), this.inside);
    this.details.addEventListener("toggle", () => this.details.open && this.open());
    if (!this.use) this.finish(event);
  }

  get isRunning() {
    return this.how.dataset.how === "running";
  }

  /** Show for how long the call has been running. `now` is in Unix seconds. */
  tick(now) {
    if (this.isRunning) this.how.textContent = `running ${elapsed(now - this.began)}`;
  }

  finish(event) {
    this.result = event;
    const { success, exit_code: code, diff } = event.data;
    this.failed = !success || Boolean(code);
    const took = this.use ? seconds(event.at - this.began) : "";
    this.how.dataset.how = this.failed ? "bad" : "good";
    const outcome = this.failed ? (code ? `exit code ${code}` : "failed") : "succeeded";
    this.how.removeAttribute("aria-live");
    this.how.replaceChildren(element("span", this.failed ? "" : "hidden", escapeLine(outcome)), took ? `${this.failed ? " · " : " "}${took}` : "");
    this.diff = diff ? readDiff(String(diff)) : null;
    if (this.diff) this.gist.append(" ", changeCounts(this.diff));
    // What people look for is in view: changes and failures.
    this.inside.replaceChildren();
    if (this.diff || this.failed || this.details.open) this.open();
  }

  open() {
    if (!this.inside.hasChildNodes()) this.fill();
    this.details.open = true;
  }

  /** The job has ended without a result of this call. */
  abandon() {
    if (!this.isRunning) return;
    this.how.dataset.how = "";
    this.how.textContent = "no result";
  }

  get text() {
    const { data } = this.result ?? { data: {} };
    return [this.name, this.use?.data.input ?? "", data.output ?? "", data.diff ?? ""].join("\n");
  }

  fill() {
    const parts = this.use ? argumentParts(this.use.data, this.diff !== null) : [];
    if (this.diff) parts.push(this.changes());
    if (this.result && (this.failed || !this.diff)) {
      const output = String(this.result.data.output || "");
      const boxes = output ? outputBoxes(output, this.name === "shell" || this.failed) : [element("p", "hint", "no output")];
      parts.push(part("Output", boxes, output && copyButton("output", output)));
    }
    this.inside.replaceChildren(...parts);
  }

  changes() {
    const label = `Changes by ${escapeLine(this.name)}`;
    const start = this.diff.slice(0, LONG_DIFF);
    const box = diffBox(start, label);
    const boxes = [box];
    if (start.length < this.diff.length) boxes.push(moreButton(`Show all ${count(this.diff.length)} lines`, () => box.replaceWith(diffBox(this.diff, label))));
    return part("Changes", boxes, copyButton("diff", String(this.result.data.diff)));
  }
}

function changeCounts(diff) {
  const [added, removed] = [countOf(diff, "add"), countOf(diff, "del")];
  const label = element("span", "hidden", `${added} added, ${removed} removed`);
  const shown = element("span", "", element("span", "added", `+${added}`), " ", element("span", "removed", `−${removed}`));
  shown.setAttribute("aria-hidden", "true");
  return element("span", "counts", label, shown);
}

/** A part of a call, with a title for screen readers and a button that copies it. */
function part(title, boxes, button) {
  const created = element("div", "part", ...boxes, button || null);
  created.setAttribute("role", "group");
  created.setAttribute("aria-label", title);
  return created;
}

function argumentParts(data, hasDiff) {
  const input = String(data.input ?? "");
  const found = data.arguments;
  if (!found) return input ? [part("Input", [textBox(input)], copyButton("input", input))] : [];
  const { command, ...others } = found;
  const parts = [];
  if (typeof command === "string") {
    const box = textBox(command);
    box.classList.add("command");
    // Events have only the start of long arguments.
    parts.push(part("Command", [box], !input.endsWith("...") && copyButton("command", command)));
  }
  const shown = Object.entries(others).filter(([name]) => !(hasDiff && CHANGE_ARGUMENTS.has(name)));
  if (shown.length) parts.push(element("dl", "arguments", ...shown.map(([name, value]) => element("div", "", element("dt", "", escapeLine(name)), element("dd", "", typeof value === "string" ? value : JSON.stringify(value))))));
  return parts;
}

function textBox(text) {
  const box = element("pre", "", text);
  box.tabIndex = 0;
  return box;
}

/** An output, or its part that matters: the end of what a command prints, the start of everything else. */
function outputBoxes(text, fromEnd) {
  const lines = text.split("\n");
  if (lines.length <= LONG_LINES && text.length <= LONG_CHARACTERS) return [textBox(text)];
  const kept = (fromEnd ? lines.slice(-SHOWN_LINES) : lines.slice(0, SHOWN_LINES)).join("\n");
  const box = textBox(fromEnd ? kept.slice(-LONG_CHARACTERS) : kept.slice(0, LONG_CHARACTERS));
  const hidden = lines.length - SHOWN_LINES;
  const more = moreButton(hidden > 0 ? `Show ${count(hidden)} ${fromEnd ? "earlier" : "more"} lines` : "Show all", () => {
    box.textContent = escapeText(text);
    box.focus();
  });
  return fromEnd ? [more, box] : [box, more];
}

function moreButton(label, act) {
  const more = element("button", "quiet more", label);
  more.type = "button";
  more.addEventListener("click", () => {
    act();
    more.remove();
  });
  return more;
}

function gistOf({ input, arguments: found }) {
  if (!found) return String(input ?? "").slice(0, 200);
  const name = SUMMARY_ARGUMENTS.find((field) => typeof found[field] === "string") ?? Object.keys(found)[0];
  if (name === undefined) return "";
  return (typeof found[name] === "string" ? found[name] : JSON.stringify(found[name])).slice(0, 200);
}
