"""Loads the trio instrument that `--instrument MODULE:NAME` names."""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from typing import Any

import trio

from trioworker.errors import ConfigError


def load_instrument(spec: str) -> trio.abc.Instrument:
    """Return the instrument `MODULE:NAME`. A class or another callable is called without arguments.

    Raises:
        ConfigError: it can't be imported or created, or isn't an instrument.
    """
    module, _, name = spec.partition(":")
    where = f"--instrument {spec}"
    if not module or not name:
        raise ConfigError(f"{where}: is not MODULE:NAME, such as my_harness.probes:TaskTimes")
    try:
        found: Any = attrgetter(name)(import_module(module))
        if callable(found) and not isinstance(found, trio.abc.Instrument):
            found = found()
    except ModuleNotFoundError as error:
        raise ConfigError(f"{where}: no module {error.name}; is it installed, or its folder on PYTHONPATH?") from error
    # Importing foreign code may raise anything, even SystemExit.
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where}: {type(error).__name__}: {error}") from error
    if not isinstance(found, trio.abc.Instrument):
        raise ConfigError(f"{where}: a {type(found).__name__}, not a trio.abc.Instrument")
    return found
