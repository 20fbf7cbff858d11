"""Makes the paths of kept outputs in a cassette independent of the machine's temporary folder."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from trioworker.worker.tools.kept_outputs import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable

STORED_PREFIX = f"/tmp/{PREFIX}"  # noqa: S108 - nothing is opened there


def with_portable_paths(redact: Callable[[str], str]) -> Callable[[str], str]:
    """Wrap `redact` to also move the paths of kept outputs to `/tmp`."""
    own_prefix = f"{tempfile.gettempdir()}/{PREFIX}"
    return lambda text: redact(text).replace(own_prefix, STORED_PREFIX)
