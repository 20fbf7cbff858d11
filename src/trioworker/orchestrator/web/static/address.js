// The page's address: #JOB, #JOB/eNUMBER for an event, or #list for the list, which a phone shows in place of a job.

const JOB = /^#([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\/e(\d{1,9}))?$/;

/** `{view: "job", id, event}`, or `{view}` with "list", "none" or "unknown". `event` is a number or null. */
export function readAddress() {
  const found = JOB.exec(location.hash);
  if (found) return { view: "job", id: found[1], event: found[2] ? Number(found[2]) : null };
  return { view: location.hash === "#list" ? "list" : location.hash.length < 2 ? "none" : "unknown", id: null, event: null };
}

export const jobAddress = (id) => `#${id}`;
export const eventAddress = (id, number) => `#${id}/e${number}`;
