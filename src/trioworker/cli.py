"""The command line: subcommands, options and exit codes."""

from __future__ import annotations

import argparse
import os
import signal
from typing import TYPE_CHECKING, Any, NoReturn

from trioworker import options
from trioworker.config import LocalConfig, OrchestratorConfig, WorkerConfig
from trioworker.errors import ConfigError
from trioworker.exits import BAD_USAGE, SUCCEEDED, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

EXIT_CODES = """\
exit codes:
  0  the job succeeded
  1  the job failed, and was reported
  2  bad usage or configuration
  3  the orchestrator refused us or can't be reached
  4  stopped by a signal, and reported
  5  the end of the job could not be reported
  6  a replayed job is not the recorded one
"""

HEALTH_EXIT_CODES = """\
exit codes of health:
  0  the worker answers, and made progress within --max-idle
  1  no worker answers, or it made none
  2  bad usage or configuration
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, *_: object, **__: object) -> None:
        from importlib.metadata import version

        print(f"trioworker {version('trioworker')}")
        raise SystemExit(SUCCEEDED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; see `EXIT_CODES`."""
    try:
        parsed = _parser().parse_args(arguments)
        return parsed.command(parsed)
    except ConfigError as error:
        return tell(error, BAD_USAGE)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="trioworker",
        description="Run one autonomous-agent job to its end.",
        epilog=EXIT_CODES,
        formatter_class=_OneLineHelp,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_worker(commands)
    _add_local(commands)
    _add_orchestrator(commands)
    _add_health(commands)
    _add_fleet(commands)
    return parser


def _OneLineHelp(prog: str) -> argparse.HelpFormatter:  # noqa: N802 - argparse wants a class, or what makes one
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=30, width=160)


def _add_worker(commands: Any) -> None:
    worker = _command(commands, "worker", _worker, "run the job that an orchestrator holds")
    worker.epilog = (
        f"The bearer token is read from {options.TOKEN_VARIABLE}.\n"
        "An option beats its TRIOWORKER variable, which beats its IRONCLAW variable.\n\n" + EXIT_CODES
    )
    options.add_options(worker, options.WORKER_OPTIONS)


def _add_local(commands: Any) -> None:
    local = _command(commands, "local", _local, "run a job here, with an orchestrator of its own (extra: local)")
    local.add_argument("text", metavar="TEXT", nargs="?", help="what the job is; not needed for replay:CASSETTE")
    local.add_argument(
        "--llm", metavar="SPEC", required=True, help="script:FILE, openai:BASE_URL or replay:CASSETTE (required)"
    )
    local.add_argument("--virtual-time", action="store_true", help="replay a cassette without waiting")
    local.add_argument("--model", metavar="NAME", help="the model to ask an openai: server for")
    local.add_argument("--title", metavar="TEXT", help="the job's title (default: the first line of TEXT)")
    local.add_argument("--json", action="store_true", help="print one event a line, as JSON")
    local.add_argument("--web", action="store_true", help="tell a page to watch the job on; it stays until Ctrl-C")
    local.add_argument(
        "--database", metavar="FILE", help="keep the job and its events in FILE (default: a temporary one)"
    )
    local.epilog = "OPENAI_API_KEY, if set, is sent to an openai: server.\n\n" + EXIT_CODES
    local.epilog = "Without --state-dir, the journal is kept in the user's state folder.\n" + local.epilog
    options.add_options(local, (options.WORKSPACE_OPTION, options.JOURNAL_OPTION, *options.RUN_OPTIONS))


def _add_orchestrator(commands: Any) -> None:
    orchestrator = _command(commands, "orchestrator", _orchestrator, "serve jobs to workers (extra: local)")
    orchestrator.add_argument(
        "--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on (default 127.0.0.1)"
    )
    orchestrator.add_argument(
        "--port", metavar="PORT", default="50051", help="port to listen on, 0 for a free one (default 50051)"
    )
    orchestrator.add_argument(
        "--llm", metavar="SPEC", help="script:FILE or openai:BASE_URL (default: none, LLM requests fail)"
    )
    orchestrator.add_argument("--model", metavar="NAME", help="the model to ask an openai: server for")
    orchestrator.add_argument(
        "--database", metavar="FILE", help="keep jobs and events in FILE (default: a temporary one)"
    )


def _add_health(commands: Any) -> None:
    health = _command(commands, "health", _health, "ask a worker how it is, over the socket that it was given")
    options.add_options(health, (options.HEALTH_OPTION,))
    health.add_argument("--max-idle", metavar="SECONDS", help="time without progress that is healthy (default: any)")
    health.epilog = (
        "Prints one line of JSON: state, job_id, iteration, idle (seconds since the last progress), tools, actors.\n\n"
        + HEALTH_EXIT_CODES
    )


def _add_fleet(commands: Any) -> None:
    fleet = _command(commands, "fleet", _fleet, "run many jobs, each in a worker of its own")
    fleet.add_argument("jobs", metavar="JOBS.jsonl", help="a line of JSON for each job: job_id, token, …")
    rows = (
        ("engine", "NAME", "process, ray or kubernetes (default process; the others are extras)"),
        ("orchestrator-url", "URL", "for jobs that name none (default http://127.0.0.1:50051)"),
        ("workspace", "DIR", "for jobs that name none; {job_id} becomes the job's (default: the engine's own)"),
        ("results", "FILE", "one line for each job that ended (default JOBS.results.jsonl); run again to go on"),
        ("logs", "DIR", "process: keep each worker's log there (default: none are kept)"),
        ("parallel", "N", "workers at once (default: the processors for process, 1000 for the others)"),
        ("attempts", "N", "workers that a job may have when they are lost or can't report (default 3)"),
        ("cpu", "CORES", "ray, kubernetes: processors for a worker (default 0.5)"),
        ("memory", "SIZE", "kubernetes: memory for a worker, as 2Gi (default 2Gi)"),
        ("address", "ADDRESS", "ray: the cluster's address (default: RAY_ADDRESS, or the cluster of this machine)"),
        ("namespace", "NAME", "kubernetes: where the Jobs are made (default: default)"),
        ("image", "IMAGE", "kubernetes: the worker's image"),
    )
    for name, metavar, text in rows:
        fleet.add_argument(f"--{name}", metavar=metavar, help=text)
    fleet.epilog = (
        "Exits with 0 if all jobs succeeded, 1 if not, 4 if it was stopped and jobs are left.\n\n" + EXIT_CODES
    )


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", formatter_class=_OneLineHelp, epilog=EXIT_CODES
    )
    parser.set_defaults(command=run)
    return parser


def _worker(parsed: argparse.Namespace) -> int:
    values = options.resolve(options.WORKER_OPTIONS, vars(parsed), os.environ)
    level, form, instrument = values.pop("log_level"), values.pop("log_format"), values.pop("instrument")
    config = WorkerConfig(token=options.token(os.environ), **values)
    # A signal may come while the imports go on; as PID 1 it would be ignored, elsewhere it would end us without a word.
    early: list[int] = []
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: early.append(number))
    # The log has a sink of its own: loguru's first one would cost as much again, and never write a line.
    os.environ.setdefault("LOGURU_AUTOINIT", "0")
    from trioworker.program import run_program

    return run_program(config, level, form, early, instrument)


def _local(parsed: argparse.Namespace) -> int:
    given = (options.WORKSPACE_OPTION, options.JOURNAL_OPTION, *options.RUN_OPTIONS)
    values = options.resolve(given, vars(parsed), os.environ)
    handed_on = [
        f"--{option.name}={values[option.key]}" for option in options.RUN_OPTIONS if values[option.key] is not None
    ]
    config = LocalConfig(
        text=parsed.text or "",
        workspace=values["workspace"],
        llm=parsed.llm,
        state_dir=values["state_dir"] or options.user_state_dir(os.environ),
        title=parsed.title,
        model=parsed.model,
        json_lines=parsed.json,
        web=parsed.web,
        database=_path(parsed.database),
        worker_options=tuple(handed_on),
    )
    kind, _, cassette = parsed.llm.partition(":")
    if kind == "replay":
        if not cassette:
            raise ConfigError(f"--llm {parsed.llm}: which cassette? Name a file that `--record` wrote")
        if parsed.web:
            raise ConfigError("--web is for a live job: a replay has no orchestrator; leave it out")
        from pathlib import Path

        from trioworker.cassette.command import run_replay

        shown = {"level": values["log_level"], "form": values["log_format"]}
        files = {"record": values["record"], "trace": values["trace"]}
        return run_replay(config, Path(cassette), virtual_time=parsed.virtual_time, **shown, **files)
    if parsed.virtual_time:
        raise ConfigError("--virtual-time is for --llm replay:CASSETTE: a live model and real tools take real time")
    from trioworker.local.command import run_local

    return run_local(config)


def _orchestrator(parsed: argparse.Namespace) -> int:
    config = OrchestratorConfig(
        host=parsed.host,
        port=options.parsed("--port", parsed.port, options.whole(0, 65535)),
        database=_path(parsed.database),
        llm=parsed.llm,
        model=parsed.model,
    )
    from trioworker.local.command import run_orchestrator

    return run_orchestrator(config)


def _health(parsed: argparse.Namespace) -> int:
    path = options.resolve((options.HEALTH_OPTION,), vars(parsed), os.environ)[options.HEALTH_OPTION.key]
    if path is None:
        raise ConfigError(f"--health-socket is missing: give it, or set {options.HEALTH_OPTION.variable}")
    max_idle = None if parsed.max_idle is None else options.parsed("--max-idle", parsed.max_idle, options.seconds)
    from trioworker.observe.health_check import check_health

    return check_health(path, max_idle)


def _fleet(parsed: argparse.Namespace) -> int:
    from pathlib import Path

    jobs = Path(parsed.jobs)
    engine = options.parsed("--engine", parsed.engine or "process", options.one_of("process", "ray", "kubernetes"))
    parallel = (os.cpu_count() or 1) if engine == "process" else 1000
    from trioworker.fleet.command import FleetConfig, run_fleet

    return run_fleet(
        FleetConfig(
            jobs=jobs,
            engine=engine,
            orchestrator_url=options.parsed(
                "--orchestrator-url", parsed.orchestrator_url or "http://127.0.0.1:50051", options.http_url
            ),
            workspace=parsed.workspace,
            results=_path(parsed.results) or jobs.with_suffix(".results.jsonl"),
            logs=_path(parsed.logs),
            parallel=options.parsed("--parallel", parsed.parallel or str(parallel), options.whole(1, 100_000)),
            attempts=options.parsed("--attempts", parsed.attempts or "3", options.whole(1, 100)),
            cpu=options.parsed("--cpu", parsed.cpu or "0.5", options.cores),
            memory=parsed.memory or "2Gi",
            address=parsed.address,
            namespace=parsed.namespace or "default",
            image=parsed.image,
        )
    )


def _path(text: str | None) -> Path | None:
    from pathlib import Path

    return Path(text) if text else None
