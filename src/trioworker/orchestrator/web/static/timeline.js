// Draws what a job's time went to: a lane for each actor.

import { byId, seconds } from "/web/units.js";

const LABEL = 120;
const LANE = 20;
const BAR = 14;
const AXIS = 18;
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];
const LOOK_AGAIN = 2000;

function svg(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export class Timeline {
  constructor() {
    this.box = byId("timeline");
    this.picture = byId("timeline-picture");
    this.jobId = null;
    this.running = false;
    this.drawn = null;
    this.box.open = matchMedia("(min-width: 721px) and (min-height: 600px)").matches;
    this.box.addEventListener("toggle", () => this.look());
    setInterval(() => this.running && this.look(), LOOK_AGAIN);
    new ResizeObserver(() => this.draw()).observe(this.picture);
  }

  watch(jobId) {
    this.jobId = jobId;
    this.drawn = null;
    this.picture.replaceChildren();
    byId("timeline-note").textContent = "";
    this.look();
  }

  async look() {
    const jobId = this.jobId;
    if (!jobId || !this.box.open || document.hidden) return;
    try {
      const answer = await fetch(`/web/jobs/${jobId}/timeline`);
      if (!answer.ok || jobId !== this.jobId) return;
      this.drawn = await answer.json();
    } catch {
      return;
    }
    this.draw();
  }

  draw() {
    const width = this.picture.clientWidth - 29;
    if (!this.drawn || width <= 0) return;
    const label = Math.min(LABEL, width / 3);
    const scale = (width - label - 8) / this.drawn.seconds;
    const lanes = this.drawn.lanes.filter((lane) => lane.spans.length);
    const height = lanes.length * LANE + AXIS;
    const told = summary(this.drawn);
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `Time line: ${told}` });
    const step = TICKS.find((tick) => tick * scale >= 60) ?? this.drawn.seconds;
    for (let at = 0; at <= this.drawn.seconds; at += step) {
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
    byId("timeline-note").textContent = told;
  }
}

function bar(span, label, scale, y) {
  const outer = span.kind === "actor" || span.kind === "job";
  const inset = outer ? 0 : 2;
  const took = span.ended - span.began;
  const told = `${span.name}: ${seconds(took)}${span.open ? ", still going" : ""}${span.failed ? ", failed" : ""}`;
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
    svg("title", {}, told),
  );
}

const axis = (at, step) => (step < 1 ? `${at.toFixed(1)} s` : at < 60 ? `${Math.round(at)} s` : seconds(at));

/** How long the model and the tools took, in words. */
function summary(drawn) {
  const of = (kind) => {
    const spans = drawn.lanes.flatMap((lane) => lane.spans).filter((span) => span.kind === kind);
    return [spans.length, seconds(spans.reduce((sum, span) => sum + span.ended - span.began, 0))];
  };
  const [asked, thinking] = of("llm");
  const [called, working] = of("tool");
  return `model ${thinking} in ${asked} ${asked === 1 ? "request" : "requests"}, tools ${working} in ${called} ${called === 1 ? "call" : "calls"}`;
}
