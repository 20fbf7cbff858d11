// A job's events as a list: messages, collapsible tool calls, and the result.

import { nodes } from "/web/tree.js";
import { count, element, escapeLine, escapeText, seconds } from "/web/units.js";

const LONG_LINES = 30;
const LONG_CHARACTERS = 4000;
// The argument that summarizes a call: the first of these that it has.
const SUMMARY_ARGUMENTS = ["command", "path", "pattern", "file", "url", "query"];

/** Shows the events of one job in `list`. `start` is the Unix time of the first event, in seconds. */
export class Events {
  constructor(list) {
    this.list = list;
    this.clear();
  }

  clear() {
    this.list.replaceChildren();
    this.calls = new Map();
    this.start = null;
    this.tokens = 0;
  }

  show(event) {
    this.start ??= event.at;
    const spent = event.tokens - this.tokens;
    this.tokens = event.tokens;
    if (event.type === "tool_result" && this.addResult(event)) return;
    const item = element("li", "event", this.render(event, spent));
    item.dataset.number = event.number;
    this.list.append(item);
  }

  render(event, spent) {
    const { data } = event;
    switch (event.type) {
      case "message": {
        const user = data.role === "user";
        const text = element("div", "text", ...nodes(data.tree ?? []));
        return element("div", user ? "message user" : "message", this.head(user ? "You" : "Agent", event, spent), text);
      }
      case "tool_use":
      case "tool_result":
        return this.call(event);
      case "result": {
        const text = element("div", "text", String(data.message ?? ""));
        const status = data.status ?? (data.success ? "completed" : "failed");
        return element("div", data.success ? "result good" : "result", this.head(`Result: ${status}`, event, spent), text);
      }
      default: {
        const text = element("span", "", escapeLine(String(data.message ?? JSON.stringify(data))));
        return element("div", "status", text, this.time(event));
      }
    }
  }

  /** Show the whole report in place of the event's preview. */
  showReport(message) {
    const text = this.list.querySelector(".result .text");
    if (text && message) text.textContent = escapeText(message);
  }

  head(who, event, spent) {
    const tokens = spent > 0 ? element("span", "", `${count(spent)} tokens`) : null;
    return element("div", "who", element("b", "", escapeLine(who)), tokens, this.time(event));
  }

  time(event) {
    const when = element("time", "when", `+${seconds(event.at - this.start)}`);
    when.dateTime = new Date(event.at * 1000).toISOString();
    return when;
  }

  call(event) {
    const { data } = event;
    const input = String(data.input ?? "");
    const how = element("span", "how", "running…");
    how.dataset.how = "running";
    const summary = element("summary", "", element("b", "", escapeLine(String(data.tool_name ?? "tool"))), element("span", "gist", escapeLine(summaryOf(input))), how);
    const inside = element("div", "inside");
    if (input) inside.append(element("h3", "", "Input"), ...truncated(pretty(input)));
    const details = element("details", "call", summary, inside);
    const call = { details, how, inside, at: event.at };
    if (event.type === "tool_result") this.finish(call, event, null);
    else this.calls.set(key(data), call);
    return details;
  }

  /** Add a result to its call. False if there is no such call. */
  addResult(event) {
    const call = this.calls.get(key(event.data));
    if (!call) return false;
    this.calls.delete(key(event.data));
    call.details.closest("li").dataset.answer = event.number;
    this.finish(call, event, event.at - call.at);
    return true;
  }

  finish(call, event, took) {
    const { success, exit_code: code, diff } = event.data;
    const good = Boolean(success) && !code;
    call.how.dataset.how = good ? "good" : "bad";
    call.how.textContent = [good ? "✓" : code ? escapeLine(`exit code ${code}`) : "failed", took === null ? "" : seconds(took)].join(" ").trim();
    if (good) call.how.setAttribute("aria-label", `succeeded ${took === null ? "" : `in ${seconds(took)}`}`);
    call.inside.append(element("h3", "", "Output"), ...truncated(String(event.data.output || "(no output)")));
    if (diff) call.inside.append(element("h3", "", "Changes"), ...truncated(String(diff)));
  }

  /** The job has ended: mark calls without a result. */
  end() {
    for (const { how } of this.calls.values()) {
      how.dataset.how = "";
      how.textContent = "no result";
    }
  }

  /** Expand all calls, or collapse them if any is expanded. */
  toggleAll() {
    const calls = [...this.list.querySelectorAll("details.call")];
    const open = !calls.some((call) => call.open);
    for (const call of calls) call.open = open;
  }
}

const key = (data) => String(data.tool_call_id ?? data.tool_name ?? "");

function parsed(input) {
  try {
    return JSON.parse(input);
  } catch {
    return null; // a truncated preview
  }
}

function summaryOf(input) {
  const found = parsed(input);
  if (found === null || typeof found !== "object") return input.slice(0, 200);
  const name = SUMMARY_ARGUMENTS.find((field) => typeof found[field] === "string") ?? Object.keys(found)[0];
  return name === undefined ? "" : String(found[name]).slice(0, 200);
}

function pretty(input) {
  const found = parsed(input);
  return found === null ? input : JSON.stringify(found, null, 2);
}

/** A text, or its start and a button that shows the rest. */
function truncated(text) {
  const lines = text.split("\n");
  const start = lines.slice(0, LONG_LINES).join("\n").slice(0, LONG_CHARACTERS);
  const box = element("pre", "", start);
  box.tabIndex = 0;
  if (start.length >= text.length) return [box];
  const more = element("button", "quiet more", `Show all ${count(lines.length)} lines`);
  more.type = "button";
  more.addEventListener("click", () => {
    box.textContent = escapeText(text);
    box.focus();
    more.remove();
  });
  return [box, more];
}
