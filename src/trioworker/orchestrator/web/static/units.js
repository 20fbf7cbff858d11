// Creating elements, and formatting texts, numbers and times.

// C0 and C1, controls of the bidirectional algorithm, line separators, lone surrogates: as protocol/control_characters.py.
const CONTROLS = /[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]|\p{Surrogate}/gu;
const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(control) {
  const code = control.codePointAt(0).toString(16);
  return NAMED[control] ?? (code.length > 2 ? `\\u${code.padStart(4, "0")}` : `\\x${code.padStart(2, "0")}`);
}

/** A text with its control characters shown as escapes, except line feeds and tabs. */
export const escapeText = (text) => text.replaceAll("\r\n", "\n").replace(CONTROLS, (control) => (control === "\n" || control === "\t" ? control : escaped(control)));

/** A text on one line: line feeds and tabs are shown as escapes, too. */
export const escapeLine = (text) => text.trim().replace(CONTROLS, escaped);

/** An element with a class and children. Strings become text nodes, so they can't contain markup or controls. */
export function element(name, className, ...children) {
  const created = document.createElement(name);
  if (className) created.className = className;
  created.append(...children.filter((child) => child !== null && child !== undefined).map((child) => (typeof child === "string" ? escapeText(child) : child)));
  return created;
}

export const byId = (id) => document.getElementById(id);

/** A duration in seconds, as short text: 0.42 s, 12 s, 3 min 5 s, 2 h 4 min. */
export function seconds(value) {
  const duration = Math.max(0, value);
  if (duration < 9.95) return `${duration.toFixed(duration < 0.995 ? 2 : 1)} s`;
  const whole = Math.round(duration);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** A duration that is still growing, in whole seconds. */
export const elapsed = (value) => (value < 10 ? `${Math.max(0, Math.floor(value))} s` : seconds(Math.floor(value)));

export const count = (value) => value.toLocaleString("en");

// Creating a formatter takes longer than formatting.
const TIME = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const FULL = new Intl.DateTimeFormat([], { dateStyle: "long", timeStyle: "medium", hourCycle: "h23" });

/** The time of day of a Unix time in seconds, with the date unless it is today. */
export function moment(at) {
  const then = new Date(at * 1000);
  const time = TIME.format(then);
  return then.toDateString() === new Date().toDateString() ? time : `${then.toLocaleDateString()} ${time}`;
}

/** The time of day of a Unix time in seconds, to the second. */
export const clock = (at) => CLOCK.format(at * 1000);

/** The date and the time of a Unix time in seconds. */
export const fullMoment = (at) => FULL.format(at * 1000);

const STATES = { pending: "waiting", in_progress: "running", completed: "completed", failed: "failed", cancelled: "stopped", stuck: "stuck" };

/** Show a job's state on a badge. */
export function showState(badge, state) {
  badge.dataset.state = state;
  badge.textContent = STATES[state] ?? escapeLine(state);
}
