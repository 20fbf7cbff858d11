// A job's events as a list: messages, tool calls, the result.

import { eventAddress } from "/web/address.js";
import { Call } from "/web/calls.js";
import { nodes } from "/web/tree.js";
import { clock, count, element, escapeLine, fullMoment, seconds } from "/web/units.js";

/** Shows the events of one job in `list`. Each entry has `item`, `kind`, `failed` and `text`, for filters. */
export class Events {
  constructor(list) {
    this.list = list;
    this.clear(null);
  }

  clear(jobId) {
    this.jobId = jobId;
    this.list.replaceChildren();
    this.entries = [];
    this.running = new Map();
    this.followUps = [];
    this.start = null;
    this.lastAt = null;
    this.tokens = 0;
  }

  /** Show an event. Returns its entry. */
  show(event) {
    this.start ??= event.at;
    this.lastAt = event.at;
    const spent = event.tokens - this.tokens;
    this.tokens = event.tokens;
    const answered = event.type === "tool_result" ? this.running.get(key(event.data)) : null;
    if (answered) {
      this.running.delete(key(event.data));
      answered.call.finish(event);
      answered.item.dataset.answer = event.number;
      return answered;
    }
    const entry = this.entry(event, spent);
    entry.item.dataset.number = event.number;
    entry.item.append(this.link(event));
    this.entries.push(entry);
    this.list.append(entry.item);
    return entry;
  }

  entry(event, spent) {
    const { data } = event;
    switch (event.type) {
      case "message": {
        const user = data.role === "user";
        const head = headOf(user ? "You" : "Agent", spent);
        const item = element("li", user ? "event message user" : "event message", head, element("div", "text", ...nodes(data.tree ?? [])));
        const entry = { item, kind: "messages", failed: false, text: String(data.content ?? "") };
        if (user) this.followUps.push({ head, at: event.at, content: entry.text });
        return entry;
      }
      case "tool_use":
      case "tool_result": {
        const call = new Call(event);
        const entry = {
          item: element("li", "event tool", call.details),
          kind: "tools",
          call,
          get failed() {
            return call.failed;
          },
          get text() {
            return call.text;
          },
        };
        if (event.type === "tool_use") this.running.set(key(data), entry);
        return entry;
      }
      case "result": {
        const status = String(data.status ?? (data.success ? "completed" : "failed"));
        const item = element("li", data.success ? "event result good" : "event result", headOf(`Result: ${status}`, spent), element("div", "text plain", String(data.message ?? "")));
        return { item, kind: "messages", failed: !data.success, text: `${status}\n${data.message ?? ""}` };
      }
      default: {
        const text = escapeLine(String(data.message ?? JSON.stringify(data)));
        return { item: element("li", "event status", element("span", "", text)), kind: "status", failed: false, text };
      }
    }
  }

  /** The time of an event, as a link to it. */
  link(event) {
    const time = element("time", "", clock(event.at));
    time.dateTime = new Date(event.at * 1000).toISOString();
    const link = element("a", "when", time);
    link.href = eventAddress(this.jobId, event.number);
    link.title = `${fullMoment(event.at)}, ${seconds(event.at - this.start)} after the first event. Link to event ${event.number}.`;
    return link;
  }

  /** The entry of an event, by the number of a call or of its result. */
  find(number) {
    return this.entries.find(({ item }) => Number(item.dataset.number) === number || Number(item.dataset.answer) === number);
  }

  /** Update how long calls have been running. Returns the calls. */
  tick(now) {
    const calls = [...this.running.values()].map((entry) => entry.call);
    for (const call of calls) call.tick(now);
    return calls;
  }

  /** The job has ended: mark calls without a result. */
  end() {
    for (const { call } of this.running.values()) call.abandon();
    this.running.clear();
  }

  /** Expand all calls that are shown, or collapse them if any is expanded. */
  toggleAll() {
    const calls = this.entries.filter(({ call, item }) => call && !item.hidden).map(({ call }) => call.details);
    const open = !calls.some((details) => details.open);
    for (const details of calls) details.open = open;
  }
}

const key = (data) => String(data.tool_call_id ?? data.tool_name ?? "");

function headOf(who, spent) {
  return element("div", "who", element("b", "", escapeLine(who)), spent > 0 ? element("span", "", `${count(spent)} tokens`) : null);
}
