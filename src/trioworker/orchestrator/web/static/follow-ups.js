// Follow-ups: queued, then read by the worker, then a message of the job.

import { clock, element } from "/web/units.js";

const CUT = "...";

/** Shows in `list` the follow-ups that aren't a message yet. */
export class FollowUps {
  constructor(list) {
    this.list = list;
  }

  /** `messages` are the user's messages of the events: `{head, content}`. */
  show(prompts, messages, isRunning) {
    const left = [...messages];
    const waiting = [];
    for (const prompt of prompts) {
      const place = prompt.taken === null ? -1 : left.findIndex((message) => isSame(message.content, prompt.content));
      if (place < 0) waiting.push(prompt);
      else markRead(left.splice(place, 1)[0], prompt);
    }
    this.list.hidden = waiting.length === 0;
    this.list.replaceChildren(...waiting.map((prompt) => itemOf(prompt, isRunning)));
  }
}

/** Messages of events are trimmed and cut. */
function isSame(message, prompt) {
  const content = prompt.trim();
  return message.trim() === content || (message.endsWith(CUT) && content.startsWith(message.slice(0, -CUT.length).trimStart()));
}

function markRead(message, prompt) {
  if (message.head.dataset.read) return;
  message.head.dataset.read = "yes";
  message.head.append(element("span", "read", `sent ${clock(prompt.sent)}, read ${clock(prompt.taken)}`));
}

function itemOf({ content, sent, taken }, isRunning) {
  const state = taken !== null ? "read" : isRunning ? "queued" : "unread";
  const label = { read: `read ${taken === null ? "" : clock(taken)}`, queued: "queued: the worker reads it before its next model request", unread: "not read: the job ended before" }[state];
  const item = element("li", "event message user pending", element("div", "who", element("b", "", "You"), element("span", "", `sent ${clock(sent)}`), element("span", "read", label)), element("div", "text plain", content));
  item.dataset.state = state;
  return item;
}
