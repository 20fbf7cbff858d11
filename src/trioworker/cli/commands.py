"""The subcommands in one table: what each runs, its options, and its help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trioworker.cli import option_table, subcommands
from trioworker.cli.admin_token import ADMIN_TOKEN_VARIABLE
from trioworker.cli.exit_codes import EXIT_CODES, FLEET_EXIT_CODES, HEALTH_EXIT_CODES, JOBS_EXIT_CODES, TREE_EXIT_CODES
from trioworker.protocol.values import TOKEN_VARIABLE

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from trioworker.cli.options import Option


@dataclass(frozen=True, slots=True)
class Command:
    """A subcommand.

    Attributes:
        run: runs it with the parsed arguments, and returns the exit code.
        options: its options.
        summary: what it does, in one phrase.
        examples: commands to show, the most common one first.
        notes: further sentences of its help, each on a line of its own.
        argument: the arguments of its positional parameter for argparse, if it has one; `dest` is its name.
        exit_codes: what its exit codes mean.
    """

    run: Callable[[argparse.Namespace], int]
    options: Sequence[Option]
    summary: str
    examples: Sequence[str]
    notes: Sequence[str] = ()
    argument: Mapping[str, Any] = field(default_factory=dict[str, Any])
    exit_codes: str = EXIT_CODES


WORDS = "words"
"""The parsed words of a command that takes a text."""
VARIABLES = "An option can also be set by a variable: --some-name by TRIOWORKER_SOME_NAME. The option takes precedence."

COMMANDS: Mapping[str, Command] = {
    "local": Command(
        subcommands.local,
        option_table.LOCAL,
        "run a job here, with an embedded orchestrator (extra: local)",
        (
            'trioworker local "Make the tests pass." --llm openai:http://127.0.0.1:11434/v1 --model NAME',
            "trioworker local --task-file task.md --workspace DIR --llm script:turns.yaml",
            "git diff | trioworker local - --llm openai:http://127.0.0.1:11434/v1",
            "trioworker local --llm replay:job.jsonl --virtual-time",
        ),
        notes=(
            "If an earlier run was killed, its unfinished job with the same text and workspace is resumed.",
            "--llm openai uses the server at OPENAI_BASE_URL, which is OpenAI's by default.",
            "Lines that you type while the job runs are follow-up prompts.",
            VARIABLES,
        ),
        argument={
            "dest": WORDS,
            "metavar": "TEXT",
            "nargs": "*",
            "help": "the task in quotes, or - to read it from standard input; not needed for replay:CASSETTE",
        },
    ),
    "jobs": Command(
        subcommands.jobs,
        option_table.JOBS,
        "list the jobs that ran here, or show one (extra: local)",
        ("trioworker jobs", "trioworker jobs 1a2b3c4d"),
        notes=(VARIABLES,),
        argument={
            "dest": "job",
            "metavar": "JOB",
            "nargs": "?",
            "help": "id of the job to show, or the start of its id",
        },
        exit_codes=JOBS_EXIT_CODES,
    ),
    "orchestrator": Command(
        subcommands.orchestrator,
        option_table.ORCHESTRATOR,
        "serve jobs to workers (extra: local)",
        ("trioworker orchestrator --port 50051 --llm openai:http://127.0.0.1:11434/v1",),
        notes=(f"The secret for managing jobs may also be in {ADMIN_TOKEN_VARIABLE}.", VARIABLES),
    ),
    "worker": Command(
        subcommands.worker,
        option_table.WORKER,
        "run a job of an orchestrator",
        (f"{TOKEN_VARIABLE}=… trioworker worker --job-id UUID --orchestrator-url http://127.0.0.1:50051",),
        notes=(
            f"The bearer token is read from {TOKEN_VARIABLE}.",
            f"{VARIABLES} The IRONCLAW variables shown above come last.",
        ),
    ),
    "health": Command(
        subcommands.health,
        option_table.HEALTH,
        "ask a running worker for its state",
        ("trioworker health --health-socket /run/worker.sock --max-idle 300",),
        notes=(
            "Prints one line of JSON: state, job_id, iteration, idle (seconds since the last progress), tools, actors.",
            VARIABLES,
        ),
        exit_codes=HEALTH_EXIT_CODES,
    ),
    "tree": Command(
        subcommands.tree,
        option_table.TREE,
        "show what a running worker's tasks wait for",
        ("trioworker tree --health-socket /run/worker.sock",),
        notes=(
            "Prints each task with its actor, where it waits and for how long, even while a computation runs.",
            VARIABLES,
        ),
        exit_codes=TREE_EXIT_CODES,
    ),
    "fleet": Command(
        subcommands.fleet,
        option_table.FLEET,
        "run many tasks or jobs, each in a worker of its own",
        (
            "trioworker fleet tasks.jsonl --llm openai:http://127.0.0.1:11434/v1 --model NAME",
            "trioworker fleet jobs.jsonl --parallel 4 --logs logs",
            "trioworker fleet jobs.jsonl --engine kubernetes --image IMAGE",
        ),
        notes=(
            "The orchestrator's secret, for asking how jobs of lost workers ended, may also be in "
            f"{ADMIN_TOKEN_VARIABLE}.",
            VARIABLES,
        ),
        exit_codes=FLEET_EXIT_CODES,
        argument={
            "dest": "jobs",
            "metavar": "FILE",
            "help": "file with one task or job per line, as JSON; - for standard input",
        },
    ),
}
