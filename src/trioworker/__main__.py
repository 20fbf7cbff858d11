"""`python -m trioworker`."""

import sys

from trioworker.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
