// The list of jobs, refreshed every few seconds while the page is visible, with search and filter.

import { jobAddress } from "/web/address.js";
import { get } from "/web/requests.js";
import { byId, element, escapeLine, moment, seconds, showState } from "/web/units.js";

const REFRESH_INTERVAL = 4000; // milliseconds
const SEARCH_DELAY = 200; // milliseconds

export class Jobs {
  /** `onRefresh` is called after each refresh. `all` are the jobs that match the text, `shown` also the state. */
  constructor(onRefresh) {
    this.all = [];
    this.chosen = null;
    this.isKnown = false;
    this.onRefresh = onRefresh;
    this.text = byId("jobs-text");
    document.addEventListener("visibilitychange", () => this.refresh());
    setInterval(() => this.refresh(), REFRESH_INTERVAL);
    this.text.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refresh(), SEARCH_DELAY);
    });
    byId("jobs-state").addEventListener("change", () => this.draw());
  }

  get shown() {
    const states = byId("jobs-state").value.split(" ");
    return states[0] ? this.all.filter((job) => states.includes(job.state)) : this.all;
  }

  get isFiltered() {
    return this.text.value.trim() !== "" || byId("jobs-state").value !== "";
  }

  async refresh() {
    if (document.hidden) return;
    const text = this.text.value.trim();
    const response = await get(`/web/jobs?text=${encodeURIComponent(text)}`);
    if (response === null) return;
    showRefusal(response);
    if (!response.ok || text !== this.text.value.trim()) return;
    this.all = (await response.json()).jobs;
    this.isKnown = true;
    this.draw();
    this.onRefresh();
  }

  draw() {
    const list = byId("jobs");
    const { shown } = this;
    byId("jobs-none").hidden = !this.isKnown || shown.length > 0;
    byId("jobs-none").textContent = this.isFiltered ? "No job matches." : "No jobs yet.";
    const items = new Map([...list.children].map((item) => [item.dataset.id, item]));
    shown.forEach((job, place) => {
      const item = items.get(job.id) ?? createItem(job);
      items.delete(job.id);
      showState(item.querySelector(".badge"), job.state);
      item.querySelector(".took").textContent = job.ended === null ? "" : seconds(job.ended - job.created);
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
    const { shown } = this;
    const place = shown.findIndex((job) => job.id === this.chosen);
    return shown[Math.min(Math.max(place + step, 0), shown.length - 1)]?.id;
  }
}

/** Say that the page's secret is no longer valid, for example after a restart of the orchestrator. */
function showRefusal(response) {
  byId("refusal").hidden = response.status !== 401;
}

function createItem(job) {
  const about = element("span", "about", element("span", "badge"), element("span", "", moment(job.created)), element("span", "took"));
  const link = element("a", "", element("span", "name", escapeLine(job.title)), about);
  link.href = jobAddress(job.id);
  const item = element("li", "", link);
  item.dataset.id = job.id;
  return item;
}
