// What runs now, and for how long.

import { byId, elapsed, element, escapeLine } from "/web/units.js";

/** Show the calls that run, or since when the model is waited for; nothing if the job doesn't run. Times in seconds. */
export function showNow(job, calls, lastAt, now) {
  const box = byId("now");
  box.hidden = job?.ended !== null || job.state !== "in_progress";
  if (box.hidden) return;
  const since = calls.length ? Math.min(...calls.map((call) => call.began)) : (lastAt ?? job.created);
  const names = calls.map((call) => call.name);
  const what = names.length ? `Running ${names.slice(0, 3).join(", ")}${names.length > 3 ? ` and ${names.length - 3} more` : ""}` : "Waiting for the model";
  box.replaceChildren(element("span", "pulse"), element("span", "", escapeLine(what)), element("span", "elapsed", elapsed(now - since)));
}
