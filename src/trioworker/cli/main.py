"""The command line: runs a subcommand, and turns errors into one line and an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from trioworker.cli import subcommands
from trioworker.cli.arguments import checked
from trioworker.cli.exit import exit_on_signal
from trioworker.cli.extras import missing_extra
from trioworker.cli.parser import parse, short_help
from trioworker.errors import OrchestratorError, WorkerError
from trioworker.observability.notices import print_notice
from trioworker.protocol.exit_codes import BAD_USAGE, NO_ORCHESTRATOR, UNREPORTED

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit code; see `EXIT_CODES`."""
    given = sys.argv[1:] if arguments is None else arguments
    if not given:
        sys.stderr.write(short_help())
        return BAD_USAGE
    try:
        parsed = parse(checked(given))
        if parsed.run is not subcommands.worker:
            exit_on_signal()
        return parsed.run(parsed)
    except OrchestratorError as error:
        return print_error(error, NO_ORCHESTRATOR)
    except WorkerError as error:
        return print_error(error, BAD_USAGE)
    except MemoryError:
        return print_error(WorkerError("memory ran out; raise the memory limit"), UNREPORTED)
    except OSError as error:
        return print_error(WorkerError(f"{error}; nothing was reported"), UNREPORTED)
    except ModuleNotFoundError as error:
        explained = missing_extra(error)
        if explained is None:
            raise
        return print_error(explained, BAD_USAGE)


def print_error(error: WorkerError, code: int) -> int:
    """Print the error to stderr on one line, and return the exit code."""
    print_notice(" ".join(str(error).split()))
    return code
