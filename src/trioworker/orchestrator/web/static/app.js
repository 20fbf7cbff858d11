// The page: which job is shown, its state, follow-ups and the stop button.

import { jobAddress, readAddress } from "/web/address.js";
import { showAnswer } from "/web/answer.js";
import { Events } from "/web/events.js";
import { factsOf } from "/web/facts.js";
import { Filter } from "/web/filter.js";
import { FollowUps } from "/web/follow-ups.js";
import { Jobs } from "/web/jobs.js";
import { bindKeys } from "/web/keys.js";
import { showEmpty, showWaiting, watchServer } from "/web/notices.js";
import { showNow } from "/web/now.js";
import { isServerLost, post } from "/web/requests.js";
import { Scrolling } from "/web/scrolling.js";
import { Stream } from "/web/stream.js";
import { Timeline } from "/web/timeline.js";
import { byId, escapeLine, escapeText, showState } from "/web/units.js";

const HINT = "Enter sends, Shift+Enter inserts a line break.";
const CONNECTION = { live: "live", lost: "reconnecting…", refused: "no access", ended: "ended" };
const SEARCH_FROM = 5; // events

const say = byId("say");
const events = new Events(byId("events"));
const filter = new Filter(events);
const followUps = new FollowUps(byId("follow-ups"));
const scrolling = new Scrolling(events, filter);
const timeline = new Timeline();
const jobs = new Jobs(() => !stream && readAddress().view !== "job" && route());
let stream = null;
let shown = null; // the job, as last received
const stopping = new Set();

/** Show what the address names. */
function route() {
  const { view, id, event } = readAddress();
  const hasJobs = jobs.all.length > 0 || jobs.isFiltered;
  // Without an address, a phone shows the list first, and a larger screen the newest job.
  const isNarrow = matchMedia("(max-width: 720px)").matches;
  if (view === "none" && !isNarrow && jobs.all.length > 0) return location.replace(jobAddress(jobs.all[0].id));
  showList(view === "list" || (view === "none" && isNarrow && hasJobs));
  if (view === "list" && stream) return;
  if (id === null) return showNoJob(view === "unknown" ? "unknown" : hasJobs ? "choose" : "none");
  if (stream?.jobId === id) scrolling.goTo(event);
  else open(id, event);
}

function showNoJob(state) {
  stream?.close();
  stream = shown = null;
  byId("job").hidden = true;
  document.title = "trioworker";
  jobs.choose(null);
  timeline.watch(null);
  byId("connection").textContent = "";
  showEmpty(state);
}

function open(id, event) {
  stream?.close();
  shown = null;
  events.clear(id);
  filter.clear();
  scrolling.open(event);
  showEmpty(null);
  showAnswer(null);
  showWaiting(null);
  followUps.show([], [], true);
  showStop();
  byId("live").setAttribute("aria-live", "off");
  byId("job").hidden = false;
  byId("download").href = `/web/jobs/${id}/download`;
  byId("facts").replaceChildren();
  byId("now").hidden = true;
  byId("task").hidden = true;
  byId("task").open = false;
  jobs.choose(id);
  timeline.watch(id);
  const known = jobs.all.find((job) => job.id === id);
  byId("title").textContent = escapeLine(known?.title ?? "…");
  note(HINT);
  const current = (stream = new Stream(id, {
    event: (event) => stream === current && showEvent(event),
    job: (job) => stream === current && showJob(job),
    end: (job) => stream === current && showJob(job),
    unknown: () => stream === current && showNoJob("unknown"),
    connection: (state) => stream === current && showConnection(state),
  }));
}

function showEvent(event) {
  filter.applyTo(events.show(event));
  byId("tools").hidden = events.entries.length < SEARCH_FROM;
  if (shown === null) return; // not all events have arrived
  followUps.show(shown.prompts, events.followUps, true);
  tick();
  scrolling.grown();
}

function showJob(job) {
  const before = shown;
  shown = job;
  const running = job.ended === null;
  const title = escapeLine(job.title);
  document.title = `${title} – trioworker`;
  byId("title").textContent = title;
  byId("description").textContent = escapeText(job.description);
  byId("task").hidden = job.description.trim() === job.title.trim();
  showState(byId("state"), job.state);
  timeline.running = running;
  say.disabled = byId("send").disabled = !running;
  byId("follow-up").hidden = !running;
  showStop();
  showWaiting(job);
  const hasJustEnded = !running && (before === null || before.ended === null);
  if (hasJustEnded) {
    events.end();
    showAnswer(job);
    jobs.refresh();
    if (before !== null) timeline.refresh();
  }
  followUps.show(job.prompts, events.followUps, running);
  tick();
  if (before === null) firstShown(running);
  else if (hasJustEnded) scrolling.ended();
  else if (running) scrolling.grown();
}

/** All events up to now are shown. */
function firstShown(running) {
  scrolling.settle(running);
  filter.apply();
  // Screen readers announce new events, but not those that were there before.
  requestAnimationFrame(() => byId("live").setAttribute("aria-live", "polite"));
}

function tick() {
  if (!shown) return;
  const now = Date.now() / 1000;
  byId("facts").replaceChildren(...factsOf(shown, now));
  showNow(shown, events.tick(now), events.lastAt, now);
}

function showStop() {
  const button = byId("stop");
  button.hidden = shown?.ended !== null;
  button.disabled = stopping.has(shown?.id);
  button.textContent = button.disabled ? "Stopping…" : "Stop";
}

function showConnection(state) {
  const label = byId("connection");
  label.dataset.state = state;
  label.textContent = CONNECTION[state];
}

function note(text) {
  byId("say-note").textContent = escapeLine(text);
}

function showList(isShown) {
  document.body.dataset.view = isShown ? "list" : "job";
  byId("jobs-open").setAttribute("aria-expanded", String(isShown));
}

async function send() {
  const content = say.value.trim();
  if (!content || say.disabled) return;
  const job = stream.jobId;
  const failure = await post(`/jobs/${job}/prompt`, { content });
  if (stream?.jobId !== job) return;
  if (failure === null && say.value.trim() === content) say.value = "";
  note(failure === null ? "Sent. The worker reads it before its next model request." : `Not sent: ${failure}`);
  if (failure === null) scrolling.follow();
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

byId("jobs-open").addEventListener("click", (click) => {
  if (document.body.dataset.view !== "list") return;
  click.preventDefault();
  if (stream) goTo(stream.jobId);
});
byId("follow-up").addEventListener("submit", (submit) => {
  submit.preventDefault();
  send();
});
say.addEventListener("keydown", (press) => {
  if (press.key !== "Enter" || press.shiftKey || press.isComposing) return;
  press.preventDefault();
  send();
});
byId("expand").addEventListener("click", () => events.toggleAll());
byId("show-all").addEventListener("click", () => filter.clear());
byId("stop").addEventListener("click", () => byId("stop-ask").showModal());
byId("stop-no").addEventListener("click", () => byId("stop-ask").close());
byId("stop-yes").addEventListener("click", stop);
watchServer(() => tick());

const goTo = (id) => id && (location.hash = jobAddress(id));
bindKeys({
  j: () => goTo(jobs.neighbour(1)),
  k: () => goTo(jobs.neighbour(-1)),
  f: () => say.focus(),
  "/": () => (byId("tools").hidden ? byId("jobs-text") : byId("search")).focus(),
  e: () => events.toggleAll(),
  t: () => scrolling.toTop(),
  b: () => scrolling.follow(),
});

addEventListener("hashchange", () => {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  route();
});
setInterval(() => shown?.ended === null && !isServerLost() && tick(), 1000);
// `onRefresh` calls `route` once the jobs are known; a job in the address doesn't wait for them.
if (readAddress().view === "job") route();
await jobs.refresh();
