// A job's head: its state, and what it has used.

import { clock, count, elapsed, element, escapeLine, fullMoment, seconds } from "/web/units.js";

/** The items of the list of facts. `now` is in Unix seconds. */
export function factsOf(job, now) {
  const took = Math.max(0, (job.ended ?? now) - job.created);
  const started = element("dd", "", clock(job.created));
  started.title = fullMoment(job.created);
  return [
    ...(job.model ? [fact("model", element("dd", "", escapeLine(job.model)))] : []),
    fact("created", started, "minor"),
    fact("time", element("dd", "", job.ended === null ? elapsed(took) : seconds(took))),
    fact("iteration", element("dd", "", count(job.report?.iterations ?? job.iteration))),
    fact("requests", element("dd", "", count(job.usage.requests)), "minor"),
    fact("tokens", element("dd", "", `${count(job.usage.input_tokens)} in, ${count(job.usage.output_tokens)} out`)),
  ];
}

const fact = (name, value, className = "") => element("div", className, element("dt", "", name), value);
