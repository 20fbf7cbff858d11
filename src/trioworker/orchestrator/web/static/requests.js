// Requests to the server, and whether it can be reached.

let lostSince = null; // milliseconds
let listener = () => {};

/** Call `act(since)` when the server is lost, with the time in milliseconds, and `act(null)` when it is back. */
export function onServerChange(act) {
  listener = act;
}

export function reportServer(isReachable) {
  const before = lostSince;
  lostSince = isReachable ? null : (lostSince ?? Date.now());
  if (lostSince !== before) listener(lostSince);
}

export const isServerLost = () => lostSince !== null;

/** The response to a GET request, or null if the server can't be reached. */
export async function get(path) {
  try {
    const response = await fetch(path);
    reportServer(true);
    return response;
  } catch {
    reportServer(false);
    return null;
  }
}

/** Send a request. Returns null, or the reason for its failure. */
export async function post(path, body) {
  try {
    const response = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    return response.ok ? null : await response.text();
  } catch {
    return "the server can't be reached";
  }
}
