// The list of jobs, looked at again every few seconds while somebody looks at it.

import { byId, element, moment, showState } from "/web/units.js";

const LOOK_AGAIN = 4000;

export class Jobs {
  constructor() {
    this.jobs = [];
    this.chosen = null;
    document.addEventListener("visibilitychange", () => this.look());
    setInterval(() => this.look(), LOOK_AGAIN);
  }

  async look() {
    if (document.hidden) return;
    try {
      const answer = await fetch("/web/jobs");
      if (!answer.ok) return;
      this.jobs = (await answer.json()).jobs;
    } catch {
      return; // the stream tells that the connection is gone
    }
    this.draw();
  }

  draw() {
    const list = byId("jobs");
    byId("jobs-none").hidden = this.jobs.length > 0;
    const there = new Map([...list.children].map((item) => [item.dataset.id, item]));
    this.jobs.forEach((job, place) => {
      const item = there.get(job.id) ?? made(job);
      there.delete(job.id);
      showState(item.querySelector(".badge"), job.state);
      const link = item.firstElementChild;
      if (job.id === this.chosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      // Moved only if it has to be: whoever is on it with the keyboard stays there.
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    });
    for (const gone of there.values()) gone.remove();
  }

  choose(id) {
    this.chosen = id;
    this.draw();
  }

  /** The job `step` places further down the list. */
  neighbour(step) {
    const place = this.jobs.findIndex((job) => job.id === this.chosen);
    return this.jobs[Math.min(Math.max(place + step, 0), this.jobs.length - 1)]?.id;
  }
}

function made(job) {
  const about = element("span", "about", element("span", "badge"), element("span", "", moment(job.created)));
  const link = element("a", "", element("span", "name", job.title), about);
  link.href = `#${job.id}`;
  const item = element("li", "", link);
  item.dataset.id = job.id;
  return item;
}
