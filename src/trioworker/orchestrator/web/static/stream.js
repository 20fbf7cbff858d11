// Follows one job: each event once, in order, over whatever happens to the connection.

const RETRY = [1000, 2000, 5000, 10000];

export class Stream {
  /** `told` has `event(event)`, `job(job)`, `end(job)` and `connection(state)`: live, lost or ended. */
  constructor(jobId, told) {
    this.jobId = jobId;
    this.told = told;
    this.last = 0;
    this.failures = 0;
    this.over = false;
    this.whenSeen = () => (document.hidden ? this.pause() : this.connect());
    // A browser opens few connections to one server: a page that nobody looks at gives its own up.
    document.addEventListener("visibilitychange", this.whenSeen);
    if (!document.hidden) this.connect();
  }

  connect() {
    if (this.over || this.source) return;
    clearTimeout(this.timer);
    const source = new EventSource(`/web/jobs/${this.jobId}/events?after=${this.last}`);
    this.source = source;
    const on = (name, act) => source.addEventListener(name, (message) => source === this.source && act(message));
    on("open", () => {
      this.failures = 0;
      this.told.connection("live");
    });
    on("job-event", (message) => {
      const event = JSON.parse(message.data);
      if (event.number <= this.last) return;
      this.last = event.number;
      this.told.event(event);
    });
    on("job", (message) => this.told.job(JSON.parse(message.data)));
    on("end", (message) => {
      this.close();
      this.told.end(JSON.parse(message.data));
      this.told.connection("ended");
    });
    on("error", () => {
      this.told.connection("lost");
      // A refusal, unlike a broken connection, is not tried again by the browser.
      if (source.readyState === EventSource.CLOSED) {
        this.pause();
        this.timer = setTimeout(() => this.connect(), RETRY[Math.min(this.failures++, RETRY.length - 1)]);
      }
    });
  }

  pause() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  close() {
    this.over = true;
    this.pause();
    document.removeEventListener("visibilitychange", this.whenSeen);
  }
}
