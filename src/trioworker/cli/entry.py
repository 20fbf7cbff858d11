"""The start of the program. Other imports are deferred: an earlier signal would end it without a report."""

from __future__ import annotations

import sys

from trioworker.supervision.early_signals import EarlySignals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def run() -> NoReturn:
    """Run the command line and exit with its code."""
    EarlySignals().install()
    from trioworker.cli.standard_streams import open_standard_streams

    open_standard_streams()
    import atexit

    from trioworker.cli.exit import exit_now, ignore_signals
    from trioworker.cli.main import main
    from trioworker.protocol.exit_codes import UNREPORTED

    code = UNREPORTED
    # Registered first, so called last: profilers and others write their results before that.
    atexit.register(lambda: exit_now(code))
    try:
        code = main()
    except SystemExit as end:  # --help and --version
        code = end.code if isinstance(end.code, int) else UNREPORTED
    ignore_signals()
    sys.exit(code)
