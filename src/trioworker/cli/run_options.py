"""The options of a run, which `worker` and `local` share."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from trioworker.cli.options import Option, choice
from trioworker.cli.values import existing_paths, path, seconds, socket_path, switch, tool_specs, variable_names, whole
from trioworker.protocol.limits import DEFAULT_CONTEXT_TOKENS
from trioworker.worker import config

LIMITS = "limits"
REQUESTS = "requests to the model"
SANDBOX = "tools and sandbox"
OBSERVABILITY = "observability"
"""Groups of options in the help."""


HEALTH_SOCKET = Option(
    "health-socket", "FILE", socket_path, "", "Unix socket that `trioworker health` and `tree` connect to"
)

RUN = (
    Option(
        "max-iterations",
        "N",
        whole(1, config.MAX_ITERATIONS_LIMIT),
        str(config.DEFAULT_MAX_ITERATIONS),
        f"maximum number of iterations, 1 to {config.MAX_ITERATIONS_LIMIT}",
        "IRONCLAW_MAX_ITERATIONS",
        group=LIMITS,
    ),
    Option("timeout", "SECONDS", seconds, f"{config.DEFAULT_TIMEOUT:g}", "time limit of the whole job", group=LIMITS),
    Option(
        "grace",
        "SECONDS",
        seconds,
        f"{config.DEFAULT_GRACE:g}",
        "time limit of the shutdown after a signal or --timeout",
        group=LIMITS,
    ),
    Option(
        "token-budget",
        "TOKENS",
        whole(*config.TOKEN_BUDGET_RANGE),
        "",
        "maximum number of input and output tokens of the job",
        group=LIMITS,
    ),
    choice(
        "reasoning", "MODE", "requests per iteration", *get_args(config.ReasoningMode), default="single", group=REQUESTS
    ),
    Option(
        "context-limit",
        "TOKENS",
        whole(*config.CONTEXT_LIMIT_RANGE),
        str(DEFAULT_CONTEXT_TOKENS),
        "maximum number of tokens of a request and its reply; above it, old messages are compacted",
        group=REQUESTS,
    ),
    Option(
        "max-tokens",
        "TOKENS",
        whole(*config.MAX_TOKENS_RANGE),
        str(config.DEFAULT_MAX_TOKENS),
        "maximum length of a reply",
        group=REQUESTS,
    ),
    Option(
        "llm-timeout",
        "SECONDS",
        seconds,
        f"{config.DEFAULT_LLM_TIMEOUT:g}",
        "time limit of one attempt to get a reply from the model",
        group=REQUESTS,
    ),
    Option(
        "output-limit",
        "BYTES",
        whole(*config.OUTPUT_LIMIT_RANGE),
        str(config.DEFAULT_OUTPUT_LIMIT),
        "maximum size of a tool's result that the model sees",
        group=REQUESTS,
    ),
    Option(
        "tool",
        "SPEC",
        tool_specs,
        "",
        "additional tools, as MODULE:NAME, separated by commas",
        group=SANDBOX,
        separator=",",
    ),
    choice(
        "containment", "MODE", "sandbox for commands", *get_args(config.ContainmentMode), default="auto", group=SANDBOX
    ),
    Option(
        "allow-write",
        "PATHS",
        existing_paths,
        "",
        "additional writable paths for commands, separated by colons",
        group=SANDBOX,
        separator=":",
    ),
    Option(
        "pass-env",
        "NAMES",
        variable_names,
        "",
        "additional variables that commands inherit, separated by commas",
        group=SANDBOX,
        separator=",",
    ),
    choice(
        "log-level",
        "LEVEL",
        "minimum log level",
        "debug",
        "info",
        "warning",
        "error",
        default="info",
        group=OBSERVABILITY,
    ),
    choice("log-format", "FORMAT", "log format", "text", "json", default="text", group=OBSERVABILITY),
    Option("trace", "FILE", path, "", "trace file to write, for Perfetto and speedscope", group=OBSERVABILITY),
    Option(
        "record",
        "FILE",
        path,
        "",
        "cassette file to record the job into, for --llm replay:FILE",
        group=OBSERVABILITY,
    ),
    Option("instrument", "SPEC", str, "", "trio instrument to attach, as MODULE:NAME", group=OBSERVABILITY),
    replace(HEALTH_SOCKET, group=OBSERVABILITY),
)
"""The options of a run, which `worker` and `local` share; `local` passes them on to its worker."""
ON_SIGTERM = choice(
    "on-sigterm",
    "ACTION",
    "how SIGTERM ends the job; a restart with --state-dir resumes a suspended job",
    "report",
    "suspend",
    default="report",
)
"""For a worker on a machine that may be drained, whose job another worker continues."""
ATTACHABLE = Option(
    "attachable",
    "",
    switch,
    "off",
    "let py-spy, perf and all other programs of the same user read the worker's memory",
    group=OBSERVABILITY,
)
"""For a worker that a person profiles, so it isn't an option of a fleet's jobs."""
