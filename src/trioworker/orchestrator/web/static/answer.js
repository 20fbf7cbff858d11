// The answer on top of a job that has ended.

import { copyButton } from "/web/copy.js";
import { nodes } from "/web/tree.js";
import { byId, clock, element, escapeLine, seconds } from "/web/units.js";

// The report of a job that was stopped on the page, and whose worker didn't report.
const STOPPED = "stopped by the user";
const TITLES = { completed: "Answer", failed: "The job failed", stuck: "The job got stuck", cancelled: "Stopped" };

/** Show how the job ended; nothing while it runs. */
export function showAnswer(job) {
  const box = byId("answer");
  const has = job !== null && job.ended !== null;
  box.hidden = !has;
  document.body.dataset.answer = has && job.answer ? "shown" : "";
  if (!has) return box.replaceChildren();
  box.dataset.state = job.state;
  const title = element("h3", "", TITLES[job.state] ?? escapeLine(job.state));
  title.id = "answer-title";
  const about = element("span", "hint", `${clock(job.ended)}, after ${seconds(job.ended - job.created)}`);
  const message = job.report?.message === STOPPED ? null : job.report?.message;
  const copy = message ? copyButton("answer", message) : null;
  const text = message ? element("div", "text", ...nodes(job.answer)) : element("p", "hint", "The worker sent no report.");
  const why = job.state === "cancelled" ? element("p", "", whyStopped(job.report?.message)) : null;
  box.replaceChildren(...[element("header", "", title, about, copy), why, text].filter(Boolean));
}

const whyStopped = (message) => (message === STOPPED ? "The user stopped this job before it was done." : "This job was stopped before it was done: by the user, or because the program that ran it was stopped.");
