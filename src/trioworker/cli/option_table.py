"""The options of every subcommand, in one table; the parser, the help and the variables come from it."""

from __future__ import annotations

from dataclasses import replace

from trioworker.cli.options import Option, choice
from trioworker.cli.run_options import ATTACHABLE, HEALTH_SOCKET, ON_SIGTERM, RUN
from trioworker.cli.values import (
    cores,
    directory,
    model_spec,
    monotonic_seconds,
    path,
    path_pattern,
    seconds,
    standard_input,
    switch,
    whole,
)
from trioworker.fleet.resources import memory
from trioworker.local.config import NEWEST
from trioworker.protocol.values import http_url, job_id
from trioworker.worker import config

CLUSTER_PARALLEL = 1000
"""Default of the fleet's --parallel on a cluster, which queues the workers that don't fit."""
STATE_DIR = Option("state-dir", "DIR", path, "", "folder of the journal from which a restart resumes")
JOBS_DIR = replace(STATE_DIR, help="folder of jobs and their journals", default_help="the user's state folder")
WORKSPACE = Option("workspace", "DIR", directory, ".", "folder that the tools work in", "IRONCLAW_WORKSPACE")
JOB_ID = Option("job-id", "UUID", job_id, None, "job to run", "IRONCLAW_JOB_ID")
ORCHESTRATOR_URL = Option(
    "orchestrator-url",
    "URL",
    http_url,
    config.DEFAULT_ORCHESTRATOR_URL,
    "URL of the orchestrator",
    "IRONCLAW_ORCHESTRATOR_URL",
)
MODEL = Option("model", "NAME", str, "", "model to request from an openai server", default_help="the server's only one")
API_KEY_ENV = Option(
    "api-key-env", "NAME", str, "", "variable with the key of an openai server", default_help="OPENAI_API_KEY"
)
DATABASE = Option("database", "FILE", path, "", "database of jobs and events", default_help="a temporary file")

TIME_FROM = Option(
    "time-from",
    "SECONDS",
    monotonic_seconds,
    "",
    "time of CLOCK_MONOTONIC from which --timeout counts for a resumed job",
    default_help="when the job was opened",
)

LOCAL_RUN = tuple(replace(option, default="warning") if option.name == "log-level" else option for option in RUN)
"""`local` prints the events, which say the same as the log at `info`."""
WORKER = (JOB_ID, ORCHESTRATOR_URL, WORKSPACE, STATE_DIR, TIME_FROM, ON_SIGTERM, *RUN, ATTACHABLE)
LOCAL = (
    Option("llm", "SPEC", model_spec, None, "model: openai, openai:BASE_URL, script:FILE or replay:CASSETTE"),
    MODEL,
    API_KEY_ENV,
    WORKSPACE,
    Option("task-file", "FILE", path, "", "file with the task, instead of TEXT"),
    Option(
        "follow-ups",
        "-",
        standard_input,
        "",
        "read follow-up prompts from standard input",
        default_help="only if it is a terminal",
    ),
    Option("title", "TEXT", str, "", "title of the job", default_help="the first line of TEXT"),
    Option("json", "", switch, "off", "print one event per line, as JSON"),
    Option("web", "", switch, "off", "serve a page to watch the job on, until Ctrl-C, and print its URL"),
    Option("new", "", switch, "off", "start a new job, even if the same one is unfinished in the workspace"),
    Option(
        "resume",
        "JOB",
        str,
        "",
        "resume the job whose id starts with JOB, or the workspace's newest unfinished job",
        default_help="one with the same TEXT",
        bare=NEWEST,
    ),
    Option("virtual-time", "", switch, "off", "replay a cassette without waiting"),
    JOBS_DIR,
    *LOCAL_RUN,
    ATTACHABLE,
)
JOBS = (JOBS_DIR, Option("json", "", switch, "off", "print one job per line, as JSON"))
ORCHESTRATOR = (
    Option("host", "ADDRESS", str, "127.0.0.1", "address to listen on"),
    Option(
        "port",
        "PORT",
        whole(0, 65535),
        "50051",
        "port to listen on, 0 for a free one",
        # Kubernetes sets TRIOWORKER_PORT to a URL where a Service is named trioworker.
        variable="TRIOWORKER_LISTEN_PORT",
    ),
    Option(
        "llm",
        "SPEC",
        model_spec,
        "",
        "model: openai, openai:BASE_URL or script:FILE",
        default_help="none, so LLM requests fail",
    ),
    MODEL,
    API_KEY_ENV,
    DATABASE,
    Option(
        "admin-token-file",
        "FILE",
        path,
        "",
        "file with the secret for managing jobs",
        default_help="a random one, in the printed URL",
    ),
)
WORKER_SOCKET = replace(HEALTH_SOCKET, default=None, help="Unix socket of the worker")
HEALTH = (
    WORKER_SOCKET,
    Option("max-idle", "SECONDS", seconds, "", "maximum time without progress", default_help="no limit"),
)
TREE = (WORKER_SOCKET,)
FLEET = (
    Option(
        "llm",
        "SPEC",
        model_spec,
        "",
        "model for the tasks, as in local",
        default_help="none, so the lines are jobs of an orchestrator",
    ),
    MODEL,
    API_KEY_ENV,
    replace(STATE_DIR, help="folder of the journals and the database of tasks", default_help="the user's state folder"),
    choice("engine", "NAME", "what starts the workers", "process", "ray", "kubernetes", default="process"),
    Option(
        "orchestrator-url", "URL", http_url, "http://127.0.0.1:50051", "URL of the orchestrator, for jobs without one"
    ),
    Option(
        "orchestrator-admin-token-file",
        "FILE",
        path,
        "",
        "file with the orchestrator's secret",
    ),
    Option(
        "workspace",
        "DIR",
        path_pattern,
        "",
        "folder of jobs without one; {job_id} becomes the job's id",
        default_help="the engine's own",
    ),
    Option("results", "FILE", path, "", "results, from which a rerun resumes", default_help="FILE.results.jsonl"),
    Option("logs", "DIR", path, "", "process, kubernetes: folder for one log per job"),
    Option(
        "parallel",
        "N",
        whole(1, 100_000),
        "",
        "maximum number of concurrent workers",
        default_help=f"one per processor, or {CLUSTER_PARALLEL} on a cluster",
    ),
    Option("attempts", "N", whole(1, 100), "3", "maximum number of workers per job, if they are lost or can't report"),
    Option("cpu", "CORES", cores, "0.5", "ray, kubernetes: processors per worker"),
    Option("memory", "SIZE", memory, "2Gi", "kubernetes: memory per worker"),
    Option(
        "address", "ADDRESS", str, "", "ray: address of the cluster", default_help="RAY_ADDRESS, or a local cluster"
    ),
    Option(
        "kubeconfig",
        "FILE",
        path,
        "",
        "kubernetes: file with clusters and credentials",
        default_help="KUBECONFIG, ~/.kube/config or the pod's service account",
    ),
    Option("context", "NAME", str, "", "kubernetes: context of the kubeconfig", default_help="the current context"),
    Option(
        "namespace", "NAME", str, "", "kubernetes: namespace of the Jobs", default_help="that of the context or the pod"
    ),
    Option("image", "IMAGE", str, "", "kubernetes: image of the worker"),
    Option("pod-template", "FILE", path, "", "kubernetes: template for the pods, in YAML"),
    Option("dry-run", "", switch, "off", "kubernetes: print the objects as YAML, and create nothing"),
)
