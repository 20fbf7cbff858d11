// Where the job's log is scrolled to: it follows new events, goes to an event of the address, and comes back.

import { byId } from "/web/units.js";

const AT_BOTTOM = 60; // pixels
const SETTLING_FRAMES = 3;

export class Scrolling {
  constructor(events, filter) {
    this.log = byId("log");
    this.button = byId("to-bottom");
    this.events = events;
    this.filter = filter;
    this.places = new Map(); // by address
    this.log.addEventListener("scroll", () => this.scrolled());
    this.button.addEventListener("click", () => this.follow());
    // The highlighted event stays in place until the person scrolls.
    for (const name of ["wheel", "touchmove", "keydown"]) this.log.addEventListener(name, () => (this.target = null), { passive: true });
    this.open(null);
  }

  /** Another job is opened, at an event if `target` isn't null. */
  open(target) {
    this.target = target;
    this.isSettled = false;
    this.following = false;
    this.last = 0;
    this.hideButton();
    this.mark(null);
  }

  /** The job's events are there: go to where the address says. */
  settle(isRunning) {
    this.isSettled = true;
    if (this.target !== null) return this.goTo(this.target);
    const place = this.places.get(location.hash);
    if (place !== undefined) this.log.scrollTop = place;
    else if (isRunning) this.follow();
    else this.log.scrollTop = 0;
  }

  /** Scroll to an event and highlight it, or where this address was left if `number` is null. */
  goTo(number) {
    this.target = number;
    if (!this.isSettled) return;
    if (number === null) {
      this.mark(null);
      const place = this.places.get(location.hash);
      if (place !== undefined) this.log.scrollTop = place;
      return;
    }
    const entry = this.events.find(number);
    this.mark(entry?.item ?? null);
    if (!entry) return;
    this.following = false;
    if (entry.item.hidden) this.filter.clear();
    if (entry.call) entry.call.open();
    entry.item.tabIndex = -1;
    entry.item.focus({ preventScroll: true });
    this.center(entry.item, SETTLING_FRAMES);
  }

  /** Heights of events that haven't been drawn are estimates, so the place changes once they are. */
  center(item, frames) {
    item.scrollIntoView({ block: item.offsetHeight > this.log.clientHeight ? "start" : "center" });
    if (frames > 0) requestAnimationFrame(() => this.center(item, frames - 1));
  }

  mark(item) {
    this.marked?.classList.remove("target");
    item?.classList.add("target");
    this.marked = item;
  }

  /** There is something new at the end. */
  grown() {
    // In the next frame: if the person scrolls up just now, the page learns of it before that.
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      if (this.following) this.follow(1);
      else this.button.hidden = this.isAtBottom();
    });
  }

  /** Hide the button, also if it was to appear in the next frame. */
  hideButton() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    this.button.hidden = true;
  }

  /** The job has ended: its answer is at the top. */
  ended() {
    if (this.following) this.toTop();
    this.hideButton();
  }

  /** Go to the end, and stay there when something new comes. */
  follow(frames = SETTLING_FRAMES) {
    this.following = true;
    this.log.scrollTop = this.log.scrollHeight;
    // A scroll event that tells of this place may come only after the person has scrolled up from it.
    this.last = this.log.scrollTop;
    this.button.hidden = true;
    if (frames > 0) requestAnimationFrame(() => this.following && this.follow(frames - 1));
  }

  toTop() {
    this.following = false;
    this.log.scrollTop = 0;
  }

  isAtBottom() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < AT_BOTTOM;
  }

  scrolled() {
    // New events may have moved the bottom since the page scrolled there, so it stops following them only when the person scrolls up.
    if (this.isAtBottom()) {
      this.following = this.isSettled && this.target === null;
      this.button.hidden = true;
    } else if (this.log.scrollTop < this.last) this.following = false;
    this.last = this.log.scrollTop;
    if (this.isSettled) this.places.set(location.hash, this.last);
  }
}
