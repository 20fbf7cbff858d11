// Follows one job: delivers each event once and in order, across reconnects.

import { get, reportServer } from "/web/requests.js";

const RETRY_DELAYS = [1000, 2000, 5000, 10000]; // milliseconds

export class Stream {
  /** `handlers` has `event(event)`, `job(job)`, `end(job)`, `unknown()` and `connection(state)`: live, lost, refused or ended. */
  constructor(jobId, handlers) {
    this.jobId = jobId;
    this.handlers = handlers;
    this.last = 0;
    this.failures = 0;
    this.closed = false;
    this.onVisibility = () => (document.hidden ? this.pause() : this.connect());
    // Browsers limit the connections to one server, so a hidden page closes its own.
    document.addEventListener("visibilitychange", this.onVisibility);
    if (!document.hidden) this.connect();
  }

  connect() {
    if (this.closed || this.source) return;
    clearTimeout(this.timer);
    const source = new EventSource(`/web/jobs/${this.jobId}/events?after=${this.last}`);
    this.source = source;
    const on = (name, act) => source.addEventListener(name, (message) => source === this.source && act(message));
    on("open", () => {
      this.failures = 0;
      reportServer(true);
      this.handlers.connection("live");
    });
    on("job-event", (message) => {
      const event = JSON.parse(message.data);
      if (event.number <= this.last) return;
      this.last = event.number;
      this.handlers.event(event);
    });
    on("job", (message) => this.handlers.job(JSON.parse(message.data)));
    on("end", (message) => {
      this.close();
      const job = JSON.parse(message.data);
      if (job === null) return this.handlers.unknown();
      this.handlers.end(job);
      this.handlers.connection("ended");
    });
    on("error", () => {
      this.handlers.connection("lost");
      // The browser reconnects after a lost connection, but not after an error response.
      if (source.readyState === EventSource.CLOSED) this.retry();
      else reportServer(false);
    });
  }

  async retry() {
    this.pause();
    this.timer = setTimeout(() => this.connect(), RETRY_DELAYS[Math.min(this.failures++, RETRY_DELAYS.length - 1)]);
    // EventSource doesn't reveal the status of a response.
    const response = await get(`/jobs/${this.jobId}`);
    if (response?.status === 401 && !this.closed) this.handlers.connection("refused");
    if (response?.status !== 404 || this.closed) return;
    this.close();
    this.handlers.unknown();
  }

  pause() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  close() {
    this.closed = true;
    this.pause();
    document.removeEventListener("visibilitychange", this.onVisibility);
  }
}
