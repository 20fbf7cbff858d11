// The page: which job is shown, its state, follow-ups and the stop button.

import { Events } from "/web/events.js";
import { Jobs } from "/web/jobs.js";
import { bindKeys } from "/web/keys.js";
import { Stream } from "/web/stream.js";
import { Timeline } from "/web/timeline.js";
import { byId, count, element, escapeLine, escapeText, seconds, showState } from "/web/units.js";

const AT_BOTTOM = 60; // pixels
const HINT = "Enter sends, Shift+Enter inserts a line break.";
const CONNECTION = { live: "live", lost: "reconnecting…", ended: "ended" };

const log = byId("log");
const say = byId("say");
const jobs = new Jobs();
const events = new Events(byId("events"));
const timeline = new Timeline();
let stream = null;
let shown = null; // the job, as last received
let following = true;
let scrolledTo = 0;
const stopping = new Set();

function open(id) {
  if (stream?.jobId === id) return;
  stream?.close();
  events.clear();
  shown = null;
  showStop();
  following = true;
  scrolledTo = 0;
  byId("events").setAttribute("aria-live", "off");
  byId("welcome").hidden = Boolean(id);
  byId("job").hidden = !id;
  showJobs(false);
  jobs.choose(id);
  timeline.watch(id);
  if (!id) return;
  const known = jobs.jobs.find((job) => job.id === id);
  byId("title").textContent = escapeLine(known?.title ?? "…");
  note(HINT);
  const current = (stream = new Stream(id, {
    event: (event) => stream === current && showEvent(event),
    job: (job) => stream === current && showJob(job),
    end: (job) => {
      if (stream !== current) return;
      showJob(job);
      events.showReport(job.report?.message);
    },
    connection: (state) => stream === current && showConnection(state),
  }));
}

function showEvent(event) {
  events.show(event);
  if (following) requestAnimationFrame(toBottom);
  else byId("to-bottom").hidden = false;
}

function showJob(job) {
  if (!job) return;
  const wasKnown = shown !== null;
  shown = job;
  // Screen readers announce new events, but not those that were there before.
  if (!wasKnown) requestAnimationFrame(() => byId("events").setAttribute("aria-live", "polite"));
  document.title = `${escapeLine(job.title)} – trioworker`;
  byId("title").textContent = escapeLine(job.title);
  byId("description").textContent = escapeText(job.description);
  byId("task").hidden = job.description.trim() === job.title.trim();
  showState(byId("state"), job.state);
  const running = job.ended === null;
  timeline.running = running;
  say.disabled = byId("send").disabled = !running;
  showStop();
  if (!running) {
    note("The job has ended.");
    events.end();
    timeline.refresh();
    jobs.refresh();
  }
  showFacts();
}

function showStop() {
  const button = byId("stop");
  button.hidden = shown?.ended !== null;
  button.disabled = stopping.has(shown?.id);
  button.textContent = button.disabled ? "Stopping…" : "Stop";
}

function showFacts() {
  if (!shown) return;
  const until = shown.ended ?? Date.now() / 1000;
  const facts = [
    ["time", seconds(Math.max(0, until - shown.created) < 10 ? until - shown.created : Math.round(until - shown.created))],
    ["iteration", count(shown.report?.iterations ?? shown.iteration)],
    ["tokens in", count(shown.usage.input_tokens)],
    ["tokens out", count(shown.usage.output_tokens)],
    ["requests", count(shown.usage.requests)],
  ];
  byId("facts").replaceChildren(...facts.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))));
}

function showConnection(state) {
  const label = byId("connection");
  label.dataset.state = state;
  label.textContent = CONNECTION[state];
}

function toBottom() {
  following = true;
  log.scrollTop = log.scrollHeight;
  byId("to-bottom").hidden = true;
}

function note(text) {
  byId("say-note").textContent = escapeLine(text);
}

function showJobs(open) {
  document.body.dataset.jobs = open ? "open" : "";
  byId("jobs-toggle").setAttribute("aria-expanded", String(open));
}

/** Send a request. Returns null, or the reason for its failure. */
async function post(path, body) {
  try {
    const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return response.ok ? null : await response.text();
  } catch {
    return "the orchestrator can't be reached";
  }
}

async function send() {
  const content = say.value.trim();
  if (!content || say.disabled) return;
  const job = stream.jobId;
  const failure = await post(`/jobs/${job}/prompt`, { content });
  if (stream?.jobId !== job) return;
  if (failure === null && say.value.trim() === content) say.value = "";
  note(failure === null ? "Sent. The worker reads it before its next model request." : `Not sent: ${failure}`);
}

async function stop() {
  byId("stop-ask").close();
  const job = stream.jobId;
  stopping.add(job);
  showStop();
  const failure = await post(`/web/jobs/${job}/stop`, {});
  if (failure === null) return;
  stopping.delete(job);
  if (stream?.jobId !== job) return;
  showStop();
  note(`Not stopped: ${failure}`);
}

log.addEventListener("scroll", () => {
  // New events may have moved the bottom since the page scrolled there, so only scrolling up ends the following.
  if (log.scrollHeight - log.scrollTop - log.clientHeight < AT_BOTTOM) {
    following = true;
    byId("to-bottom").hidden = true;
  } else if (log.scrollTop < scrolledTo) following = false;
  scrolledTo = log.scrollTop;
});
byId("to-bottom").addEventListener("click", toBottom);
byId("jobs-toggle").addEventListener("click", () => showJobs(document.body.dataset.jobs !== "open"));
byId("jobs").addEventListener("click", () => showJobs(false));
byId("follow-up").addEventListener("submit", (submit) => {
  submit.preventDefault();
  send();
});
say.addEventListener("keydown", (press) => {
  if (press.key !== "Enter" || press.shiftKey || press.isComposing) return;
  press.preventDefault();
  send();
});
byId("stop").addEventListener("click", () => byId("stop-ask").showModal());
byId("stop-no").addEventListener("click", () => byId("stop-ask").close());
byId("stop-yes").addEventListener("click", stop);

const goTo = (id) => id && (location.hash = id);
const focusInput = () => say.focus();
bindKeys({ j: () => goTo(jobs.neighbour(1)), k: () => goTo(jobs.neighbour(-1)), f: focusInput, "/": focusInput, e: () => events.toggleAll(), b: toBottom });

const idInUrl = () => (/^#[0-9a-f-]{36}$/.test(location.hash) ? location.hash.slice(1) : null);
addEventListener("hashchange", () => idInUrl() && open(idInUrl()));
setInterval(() => shown?.ended === null && showFacts(), 1000);
await jobs.refresh();
open(idInUrl() ?? jobs.jobs[0]?.id ?? null);
