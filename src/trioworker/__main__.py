"""`python -m trioworker`."""

import os
import sys


def _leave_out_working_directory() -> None:
    """Remove the folder that `-m` put first on the path: a module there, such as trio.py, must not run with our token.

    Until this has run, only modules that Python has already imported may be imported.
    """
    try:
        folder = os.getcwd()
    except FileNotFoundError:
        return
    if not sys.flags.safe_path and sys.path[:1] in ([""], [folder]):
        del sys.path[0]


if __name__ == "__main__":
    _leave_out_working_directory()
    from trioworker.cli.entry import run

    run()
