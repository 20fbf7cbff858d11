"""The subcommands: each turns its parsed arguments into a configuration, runs, and returns the exit code.

What a subcommand needs is imported when it runs, so that a bad option is reported at once.
"""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trioworker.cli import option_table
from trioworker.cli.admin_token import admin_token
from trioworker.cli.engine_options import check_engine_options
from trioworker.cli.options import check_text, resolve, token, user_state_dir
from trioworker.cli.task import missing_task, read_task
from trioworker.cli.values import path
from trioworker.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from trioworker.local.config import LocalConfig
    from trioworker.worker.tools.base import AnyTool


def worker(parsed: argparse.Namespace) -> int:
    """Run a job of an orchestrator."""
    values = resolve(option_table.WORKER, vars(parsed), os.environ)
    level, form, instrument = values.pop("log_level"), values.pop("log_format"), values.pop("instrument")
    cassette, tools, attachable = values.pop("record"), values.pop("tool") or (), values.pop("attachable")
    suspend_on_sigterm = values.pop("on_sigterm") == "suspend"
    if suspend_on_sigterm and values["state_dir"] is None:
        raise ConfigError(
            "--on-sigterm suspend needs a journal, from which a restart resumes the job; give --state-dir, too"
        )
    from trioworker.worker.config import WorkerConfig

    config = WorkerConfig(token=token(os.environ), **values)
    # loguru's default sink is never used, and takes as long to set up as the one that replaces it.
    os.environ.setdefault("LOGURU_AUTOINIT", "0")
    recording = nullcontext()
    if cassette is not None:
        from trioworker.cassette.recorder import open_recorder

        recording = open_recorder(config, cassette)
    from trioworker.worker.program import run_program

    return run_program(
        config,
        level=level,
        form=form,
        instrument=instrument,
        tools=tools,
        recording=recording,
        attachable=attachable,
        suspend_on_sigterm=suspend_on_sigterm,
    )


def local(parsed: argparse.Namespace) -> int:
    """Run a job with an embedded orchestrator, or replay a cassette."""
    given = {name: value for name, value in vars(parsed).items() if value and name != "run"}
    if not given and not os.environ.get("TRIOWORKER_LLM"):
        # Its example also shows the model, the other thing that is missing.
        raise missing_task()
    values = resolve(option_table.LOCAL, vars(parsed), os.environ)
    follow_ups = bool(values["follow_ups"])
    text = ""
    if parsed.words or values["resume"] is None:
        text = read_task(parsed.words, values["task_file"], option=parsed.task_file, follow_ups=follow_ups)
    passed_on = [
        f"--{option.name}={values[option.key]}" for option in option_table.RUN if values[option.key] is not None
    ]
    passed_on += [f"--{option_table.ATTACHABLE.name}"] if values["attachable"] else []
    from trioworker.local.config import LocalConfig

    config = LocalConfig(
        text=text,
        workspace=values["workspace"],
        llm=values["llm"],
        state_dir=values["state_dir"] or user_state_dir(os.environ),
        title=values["title"],
        model=values["model"],
        api_key_variable=values["api_key_env"],
        json_lines=values["json"],
        web=values["web"],
        follow_ups=follow_ups,
        new=values["new"],
        resume=values["resume"],
        worker_options=tuple(passed_on),
    )
    kind, _, cassette = config.llm.partition(":")
    if not config.text and kind != "replay" and config.resume is None:
        raise missing_task()
    if kind == "replay":
        if not cassette:
            raise ConfigError(f"--llm {config.llm}: which cassette? Name a file that `--record` wrote")
        if config.resume or config.new:
            raise ConfigError("--resume and --new are for live jobs: a replay always starts at the beginning")
        if config.web:
            raise ConfigError("--web is for a live job: a replay has no orchestrator; leave it out")
        return _replay(config, Path(cassette), values)
    if values["virtual_time"]:
        raise ConfigError("--virtual-time is for --llm replay:CASSETTE: a live model and real tools take real time")
    if config.resume is None:
        _check_own_objects(values)
    from trioworker.local.run import run_local

    return run_local(config)


def _check_own_objects(values: dict[str, Any]) -> None:
    """Load the user's tools and the instrument, as the worker will: a mistake is one line, and no job is created."""
    _own_tools(values)
    if values["instrument"]:
        from trioworker.observability.named_object import load_named

        load_named("--instrument", values["instrument"], values["workspace"])


def _replay(config: LocalConfig, cassette: Path, values: dict[str, Any]) -> int:
    from trioworker.local.replay import run_replay

    return run_replay(
        config,
        cassette,
        virtual_time=values["virtual_time"],
        level=values["log_level"],
        form=values["log_format"],
        record=values["record"],
        trace=values["trace"],
        tools=_own_tools(values),
    )


def _own_tools(values: dict[str, Any]) -> list[AnyTool]:
    if not values["tool"]:
        return []
    from trioworker.worker.tools.own_tools import load_tools

    return load_tools(values["tool"], values["workspace"])


def jobs(parsed: argparse.Namespace) -> int:
    """List the jobs of `local` and `fleet`, or show one."""
    values = resolve(option_table.JOBS, vars(parsed), os.environ)
    check_text("JOB", parsed.job or "")
    from trioworker.local.jobs import print_jobs

    return print_jobs(values["state_dir"] or user_state_dir(os.environ), parsed.job, json_lines=values["json"])


def orchestrator(parsed: argparse.Namespace) -> int:
    """Serve jobs to workers."""
    values = resolve(option_table.ORCHESTRATOR, vars(parsed), os.environ)
    values["admin_token"] = admin_token("--admin-token-file", values.pop("admin_token_file"))
    values["api_key_variable"] = values.pop("api_key_env")
    from trioworker.orchestrator.config import OrchestratorConfig
    from trioworker.orchestrator.run import run_orchestrator

    return run_orchestrator(OrchestratorConfig(**values))


def health(parsed: argparse.Namespace) -> int:
    """Ask a running worker for its state."""
    values = resolve(option_table.HEALTH, vars(parsed), os.environ)
    from trioworker.observability.health_check import check_health

    return check_health(values["health_socket"], values["max_idle"])


def tree(parsed: argparse.Namespace) -> int:
    """Ask a running worker for its tasks."""
    values = resolve(option_table.TREE, vars(parsed), os.environ)
    from trioworker.observability.tree_check import check_tree

    return check_tree(values["health_socket"])


def fleet(parsed: argparse.Namespace) -> int:
    """Run many jobs, each in a worker of its own."""
    values = resolve(option_table.FLEET, vars(parsed), os.environ)
    check_engine_options(values["engine"], vars(parsed))
    token_file = values.pop("orchestrator_admin_token_file")
    values["admin_token"] = admin_token("--orchestrator-admin-token-file", token_file)
    from trioworker.fleet.lines import STDIN, results_path, starts_with_a_job

    jobs = STDIN if parsed.jobs == "-" else path(parsed.jobs)
    values["results"] = results_path(jobs, values["results"])
    values["parallel"] = values["parallel"] or (
        os.cpu_count() or 1 if values["engine"] == "process" else option_table.CLUSTER_PARALLEL
    )
    values["state_dir"] = values["state_dir"] or user_state_dir(os.environ)
    values["api_key_variable"] = values.pop("api_key_env")
    # Variables may be set for other subcommands: only an option contradicts another one.
    if parsed.llm is None and (values["engine"] != "process" or starts_with_a_job(jobs)):
        values["llm"] = None
    if values["llm"] and parsed.workspace is None:
        values["workspace"] = None
    # A task's journal is in the fleet's own folder; that of another job, where its line says.
    own = () if values["llm"] else (option_table.STATE_DIR, option_table.ON_SIGTERM)
    passed_on = {option.key: option.parse for option in (*own, *option_table.RUN)}
    from trioworker.fleet.config import FleetConfig
    from trioworker.fleet.run import run_fleet

    return run_fleet(FleetConfig(jobs=jobs, worker_options=passed_on, **values))
