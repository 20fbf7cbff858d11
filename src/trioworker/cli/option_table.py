"""The options of every subcommand, in one table; the parser, the help and the variables come from it."""

from __future__ import annotations

from pathlib import Path

from trioworker.cli.options import Option
from trioworker.cli.values import cores, directory, existing_paths, one_of, seconds, socket_path, switch, whole
from trioworker.protocol.limits import DEFAULT_CONTEXT_TOKENS
from trioworker.protocol.values import http_url, job_id
from trioworker.worker import config

HEALTH_SOCKET = Option("health-socket", "FILE", socket_path, "", "Unix socket that `trioworker health` connects to")
STATE_DIR = Option("state-dir", "DIR", Path, "", "folder of the journal, from which a restart resumes")
WORKSPACE = Option("workspace", "DIR", directory, ".", "folder that the tools work in", "IRONCLAW_WORKSPACE")
JOB_ID = Option("job-id", "UUID", job_id, None, "job to run", "IRONCLAW_JOB_ID")
ORCHESTRATOR_URL = Option(
    "orchestrator-url",
    "URL",
    http_url,
    config.DEFAULT_ORCHESTRATOR_URL,
    "where the orchestrator listens",
    "IRONCLAW_ORCHESTRATOR_URL",
)
MODEL = Option("model", "NAME", str, "", "model to request from an openai: server")
DATABASE = Option("database", "FILE", Path, "", "database of jobs and events; none: a temporary one")

RUN = (
    Option(
        "max-iterations",
        "N",
        whole(1, config.MAX_ITERATIONS_LIMIT),
        str(config.DEFAULT_MAX_ITERATIONS),
        "maximum number of iterations, 1 to 500",
        "IRONCLAW_MAX_ITERATIONS",
    ),
    Option("timeout", "SECONDS", seconds, f"{config.DEFAULT_TIMEOUT:g}", "time for the whole job"),
    Option("grace", "SECONDS", seconds, f"{config.DEFAULT_GRACE:g}", "time to report after a signal or the time-out"),
    Option(
        "context-limit",
        "TOKENS",
        whole(1_000, 100_000_000),
        str(DEFAULT_CONTEXT_TOKENS),
        "estimated tokens beyond which old tool results are compacted",
    ),
    Option("reasoning", "MODE", one_of("single", "two-phase"), "single", "requests per iteration: single or two-phase"),
    Option(
        "containment",
        "MODE",
        one_of("auto", "require", "off"),
        "auto",
        "run commands in the sandbox that the kernel offers: auto, require or off",
    ),
    Option("allow-write", "PATHS", existing_paths, "", "where else commands may write, separated by colons"),
    Option("log-level", "LEVEL", one_of("debug", "info", "warning", "error"), "info", "minimum log level"),
    Option("log-format", "FORMAT", one_of("text", "json"), "text", "format of the log: text or json"),
    Option("trace", "FILE", Path, "", "write a trace for Perfetto and speedscope"),
    Option("record", "FILE", Path, "", "record the job as a cassette, which --llm replay:FILE plays"),
    Option("instrument", "SPEC", str, "", "trio instrument to attach, as MODULE:NAME"),
    HEALTH_SOCKET,
)
"""What a worker and `local` have in common; `local` passes these on to its worker."""

WORKER = (JOB_ID, ORCHESTRATOR_URL, WORKSPACE, STATE_DIR, *RUN)
LOCAL = (
    Option("llm", "SPEC", str, None, "script:FILE, openai:BASE_URL or replay:CASSETTE"),
    MODEL,
    Option("title", "TEXT", str, "", "title of the job; none: the first line of TEXT"),
    Option("json", "", switch, "", "print one event per line, as JSON"),
    Option("web", "", switch, "", "print the URL of a page to watch the job on; it stays until Ctrl-C"),
    DATABASE,
    Option("virtual-time", "", switch, "", "replay a cassette without waiting"),
    WORKSPACE,
    STATE_DIR,
    *RUN,
)
ORCHESTRATOR = (
    Option("host", "ADDRESS", str, "127.0.0.1", "address to listen on"),
    Option("port", "PORT", whole(0, 65535), "50051", "port to listen on, 0 for a free one"),
    Option("llm", "SPEC", str, "", "script:FILE or openai:BASE_URL; none: LLM requests fail"),
    MODEL,
    DATABASE,
)
HEALTH = (HEALTH_SOCKET, Option("max-idle", "SECONDS", seconds, "", "time without progress that is healthy; none: any"))
FLEET = (
    Option("engine", "NAME", one_of("process", "ray", "kubernetes"), "process", "process, ray or kubernetes"),
    Option("orchestrator-url", "URL", http_url, "http://127.0.0.1:50051", "for jobs that name none"),
    Option("workspace", "DIR", str, "", "for jobs that name none; {job_id} becomes the job's; none: the engine's own"),
    Option("results", "FILE", Path, "", "one line per finished job, from which a rerun resumes; none: beside JOBS"),
    Option("logs", "DIR", Path, "", "process: folder for each worker's log"),
    Option("parallel", "N", whole(1, 100_000), "", "workers at once; none: one per processor, else 1000"),
    Option("attempts", "N", whole(1, 100), "3", "workers per job when they are lost or can't report"),
    Option("cpu", "CORES", cores, "0.5", "ray, kubernetes: processors per worker"),
    Option("memory", "SIZE", str, "2Gi", "kubernetes: memory per worker"),
    Option("address", "ADDRESS", str, "", "ray: address of the cluster; none: RAY_ADDRESS, or one on this machine"),
    Option("namespace", "NAME", str, "default", "kubernetes: namespace of the Jobs"),
    Option("image", "IMAGE", str, "", "kubernetes: image of the worker"),
)
