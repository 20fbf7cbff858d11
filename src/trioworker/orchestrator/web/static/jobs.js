// The list of jobs, refreshed every few seconds while the page is visible.

import { byId, element, escapeLine, moment, showState } from "/web/units.js";

const REFRESH_INTERVAL = 4000; // milliseconds

export class Jobs {
  constructor() {
    this.jobs = [];
    this.chosen = null;
    document.addEventListener("visibilitychange", () => this.refresh());
    setInterval(() => this.refresh(), REFRESH_INTERVAL);
  }

  async refresh() {
    if (document.hidden) return;
    try {
      const response = await fetch("/web/jobs");
      await showRefusal(response);
      if (!response.ok) return;
      this.jobs = (await response.json()).jobs;
    } catch {
      return; // the job's stream shows that the connection is lost
    }
    this.draw();
  }

  draw() {
    const list = byId("jobs");
    byId("jobs-none").hidden = this.jobs.length > 0;
    const items = new Map([...list.children].map((item) => [item.dataset.id, item]));
    this.jobs.forEach((job, place) => {
      const item = items.get(job.id) ?? createItem(job);
      items.delete(job.id);
      showState(item.querySelector(".badge"), job.state);
      const link = item.firstElementChild;
      if (job.id === this.chosen) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      // Move an item only if needed, since moving it loses the keyboard focus.
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    });
    for (const removed of items.values()) removed.remove();
  }

  choose(id) {
    this.chosen = id;
    this.draw();
  }

  /** The id of the job `step` places below the chosen one. */
  neighbour(step) {
    const place = this.jobs.findIndex((job) => job.id === this.chosen);
    return this.jobs[Math.min(Math.max(place + step, 0), this.jobs.length - 1)]?.id;
  }
}

/** Say that the page's secret isn't valid any more, such as after a restart of the orchestrator. */
async function showRefusal(response) {
  const refusal = byId("refusal");
  refusal.hidden = response.status !== 401;
  if (response.status === 401) refusal.textContent = await response.text();
}

function createItem(job) {
  const about = element("span", "about", element("span", "badge"), element("span", "", moment(job.created)));
  const link = element("a", "", element("span", "name", escapeLine(job.title)), about);
  link.href = `#${job.id}`;
  const item = element("li", "", link);
  item.dataset.id = job.id;
  return item;
}
