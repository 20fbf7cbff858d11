// Draws a job's timeline: one lane for the model and one for the tools, or a lane for each actor.

import { get } from "/web/requests.js";
import { byId, escapeLine, seconds } from "/web/units.js";

// Pixels.
const LABEL = 120;
const SHORT_LABEL = 52;
const LANE = 18;
const BAR = 12;
const AXIS = 18;
// Seconds.
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const REFRESH_INTERVAL = 2000; // milliseconds

function svg(name, attributes, ...children) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, value);
  created.append(...children.map((child) => (typeof child === "string" ? escapeLine(child) : child)));
  return created;
}

export class Timeline {
  constructor() {
    this.box = byId("timeline");
    this.picture = byId("timeline-picture");
    this.jobId = null;
    this.running = false;
    this.timeline = null;
    this.all = byId("timeline-all");
    this.box.addEventListener("toggle", () => this.box.open && this.refresh());
    this.all.addEventListener("change", () => this.draw());
    setInterval(() => this.running && this.box.open && this.refresh(), REFRESH_INTERVAL);
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  watch(jobId) {
    this.jobId = jobId;
    this.timeline = null;
    this.picture.replaceChildren();
    byId("timeline-note").textContent = "";
    this.refresh();
  }

  async refresh() {
    const jobId = this.jobId;
    if (!jobId || document.hidden) return;
    const response = await get(`/web/jobs/${jobId}/timeline`);
    if (!response?.ok || jobId !== this.jobId) return;
    this.timeline = await response.json();
    byId("timeline-note").textContent = summary(this.timeline);
    this.draw();
  }

  draw() {
    const width = this.picture.clientWidth;
    if (!this.timeline || !this.box.open || width <= 0) return;
    const label = Math.min(this.all.checked ? LABEL : SHORT_LABEL, width / 3);
    const scale = (width - label - 8) / this.timeline.seconds;
    const lanes = this.all.checked ? this.timeline.lanes.filter((lane) => lane.spans.length) : [merged(this.timeline, "model", "llm"), merged(this.timeline, "tools", "tool")];
    const height = lanes.length * LANE + AXIS;
    const text = summary(this.timeline);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `Timeline: ${text}` });
    const step = TICKS.find((tick) => tick * scale >= 60) ?? this.timeline.seconds;
    for (let at = 0; at <= this.timeline.seconds; at += step) {
      const x = label + at * scale;
      picture.append(svg("line", { x1: x, x2: x, y1: 0, y2: height - AXIS }));
      if (x < width - 24) picture.append(svg("text", { x: x + 2, y: height - 5 }, axis(at, step)));
    }
    lanes.forEach((lane, row) => {
      const y = row * LANE;
      picture.append(svg("text", { x: 0, y: y + LANE - 6 }, lane.name));
      for (const span of lane.spans) picture.append(bar(span, label, scale, y + (LANE - BAR) / 2));
    });
    this.picture.replaceChildren(picture);
  }
}

/** One lane with all spans of a kind. */
const merged = ({ lanes }, name, kind) => ({ name, spans: lanes.flatMap((lane) => lane.spans).filter((span) => span.kind === kind) });

function bar(span, label, scale, y) {
  const outer = span.kind === "actor" || span.kind === "job";
  const inset = outer ? 0 : 2;
  const took = span.ended - span.began;
  const title = `${span.name}: ${seconds(took)}${span.open ? ", still running" : ""}${span.failed ? ", failed" : ""}`;
  return svg(
    "rect",
    {
      class: `span ${/^[a-z]+$/.test(span.kind) ? span.kind : ""}${span.failed ? " failed" : ""}`,
      x: label + span.began * scale,
      y: y + inset,
      width: Math.max(1, took * scale),
      height: BAR - 2 * inset,
      rx: 2,
    },
    svg("title", {}, title),
  );
}

const axis = (at, step) => (step < 1 ? `${at.toFixed(1)} s` : at < 60 ? `${Math.round(at)} s` : seconds(at));

/** The time taken by the model and the tools, as text. */
function summary(timeline) {
  const of = (kind) => {
    const spans = timeline.lanes.flatMap((lane) => lane.spans).filter((span) => span.kind === kind);
    return [spans.length, seconds(spans.reduce((sum, span) => sum + span.ended - span.began, 0))];
  };
  const [requests, thinking] = of("llm");
  const [calls, working] = of("tool");
  if (!requests && !calls) return "";
  return `model ${thinking} in ${requests} ${requests === 1 ? "reply" : "replies"}, tools ${working} in ${calls} ${calls === 1 ? "call" : "calls"}`;
}
