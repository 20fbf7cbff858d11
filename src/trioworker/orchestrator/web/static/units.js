// Elements, and numbers for people.

/** An element with a class and children; texts become text nodes, and so nothing in them is markup. */
export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const byId = (id) => document.getElementById(id);

/** Seconds, as short as they can be told: 0.42 s, 12 s, 3 min 5 s, 2 h 4 min. */
export function seconds(value) {
  const given = Math.max(0, value);
  if (given < 9.95) return `${given.toFixed(given < 0.995 ? 2 : 1)} s`;
  const whole = Math.round(given);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export const count = (value) => value.toLocaleString("en");

/** A moment, given in seconds since 1970: the time of day, and the day unless it is today. */
export function moment(at) {
  const then = new Date(at * 1000);
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return then.toDateString() === new Date().toDateString() ? time : `${then.toLocaleDateString()} ${time}`;
}

const STATES = { pending: "waiting", in_progress: "running", completed: "completed", failed: "failed", cancelled: "cancelled", stuck: "stuck" };

/** Show a job's state on a badge. */
export function showState(badge, state) {
  badge.dataset.state = state;
  badge.textContent = STATES[state] ?? state;
}
