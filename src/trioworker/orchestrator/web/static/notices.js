// Notices: how to start a worker, no such job, no jobs, the server can't be reached.

import { copyButton } from "/web/copy.js";
import { isServerLost, onServerChange } from "/web/requests.js";
import { byId, clock, element } from "/web/units.js";

/** Show that a job waits for a worker, and how to start one. */
export function showWaiting(job) {
  const box = byId("waiting");
  box.hidden = job?.state !== "pending" || job.ended !== null;
  if (box.hidden || box.dataset.job === `${job.id} ${job.local}`) return;
  box.dataset.job = `${job.id} ${job.local}`;
  if (job.local) {
    box.replaceChildren(element("h3", "", "The worker is starting"));
    return;
  }
  const command = `read -rs IRONCLAW_WORKER_TOKEN && export IRONCLAW_WORKER_TOKEN\ntrioworker worker --job-id ${job.id} \\\n    --orchestrator-url ${location.origin} --workspace DIR`;
  const shown = element("pre", "", command);
  shown.tabIndex = 0;
  box.replaceChildren(
    element("header", "", element("h3", "", "Waiting for a worker"), copyButton("command", command)),
    element("p", "", "No worker has started this job yet. To start one, run this in a shell, with the folder to work in as DIR, and paste the job's token:"),
    shown,
    element("p", "hint", "The token is in the response to the POST /jobs that created the job, and only there: this page doesn't have it. In a container or on another machine, use an address of this orchestrator that is reachable from there."),
  );
}

/** Show one of the states of a page without a job: "choose", "none" or "unknown"; or null. */
export function showEmpty(state) {
  for (const name of ["choose", "none", "unknown"]) byId(`empty-${name}`).hidden = name !== state;
  byId("empty").hidden = state === null;
}

/** Show a notice while the server can't be reached, and call `act` at each change. */
export function watchServer(act) {
  onServerChange((since) => {
    byId("gone").hidden = since === null;
    if (since !== null) byId("gone-since").textContent = clock(since / 1000);
    document.body.dataset.server = isServerLost() ? "lost" : "";
    act(since);
  });
}
