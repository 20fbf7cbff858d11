"""Loads the trio instrument that `--instrument MODULE:NAME` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trioworker.errors import ConfigError
from trioworker.observability.named_object import describe, load_named

if TYPE_CHECKING:
    from pathlib import Path

OPTION = "--instrument"


def load_instrument(spec: str, workspace: Path | None = None) -> trio.abc.Instrument:
    """Return the instrument `MODULE:NAME`; see `load_named`. A class or another callable is called without arguments.

    Raises:
        ConfigError: it can't be imported or created, or isn't an instrument.
    """
    found = load_named(OPTION, spec, workspace)
    where = f"{OPTION} {spec}"
    if callable(found) and not isinstance(found, trio.abc.Instrument):
        try:
            found = found()
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{where}: {describe(error)}") from error
    if not isinstance(found, trio.abc.Instrument):
        raise ConfigError(f"{where}: a {type(found).__name__}, not a trio.abc.Instrument")
    return found
