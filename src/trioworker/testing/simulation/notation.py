"""The notation of faults in a plan's text, such as `cancel:reasoner:20`.

For faults of requests, `cut:12` affects one request, by its number from 0; `cut:event`, each request to a path;
`cut:event@2`, the third request to it; `cut:*`, all requests."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, get_args

from trioworker.testing.faults import Fault, FaultKind
from trioworker.testing.simulation.planned_faults import (
    Cancel,
    ClockJump,
    Freeze,
    Kill,
    Outage,
    Signal,
    SlowNames,
    Supersede,
    Suspend,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from trioworker.testing.simulation.planned_faults import PlannedFault

REQUEST_FAULTS: tuple[FaultKind, ...] = get_args(FaultKind)

_CLASSES: dict[str, type[Any]] = {
    "cancel": Cancel,
    "outage": Outage,
    "kill": Kill,
    "names": SlowNames,
    "signal": Signal,
    "freeze": Freeze,
    "clock": ClockJump,
    "supersede": Supersede,
    "suspend": Suspend,
}
_NAMES = {fault: name for name, fault in _CLASSES.items()}
_PARSERS: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: bool(int(text)),
}
"""The parser of a field's value, by the field's annotation."""


def format_fault(fault: PlannedFault) -> str:
    """The text of a fault."""
    if isinstance(fault, Fault):
        values = [fault.code] if fault.kind == "status" else [fault.seconds] if fault.kind == "delay" else []
        parts = [fault.kind, _format_target(fault), *values]
    else:
        values = [getattr(fault, field.name) for field in fields(fault)]
        parts = [_NAMES[type(fault)], *(int(value) if isinstance(value, bool) else value for value in values)]
    return ":".join(map(str, parts))


def parse_fault(text: str) -> PlannedFault:
    """The fault of a text.

    Raises:
        ValueError: the text is not a fault.
    """
    name, *values = text.split(":")
    try:
        if name in REQUEST_FAULTS:
            return _parse_request_fault(name, *values)
        fault = _CLASSES[name]
        parsed = [_PARSERS[str(field.type)](value) for field, value in zip(fields(fault), values, strict=True)]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{text!r} is not a fault; write a plan as a failure prints it: '7 cut:12 kill:40:50:1'"
        ) from error
    return fault(*parsed)


def _parse_request_fault(kind: FaultKind, target: str, *values: str) -> Fault:
    path, request = _parse_target(target)
    match kind, values:
        case "status", (code,):
            return Fault.status(int(code), path=path, request=request)
        case "delay", (seconds,):
            return Fault.delay(float(seconds), path=path, request=request)
        case _, ():
            return Fault(kind=kind, path=path, request=request)
        case _:
            raise ValueError(f"{kind} does not take {len(values)} values")


def _format_target(fault: Fault) -> str:
    """Which requests have the fault: `12`, `event`, `event@2` or `*`."""
    if fault.request is None:
        return fault.path or "*"
    return f"{fault.request}" if fault.path is None else f"{fault.path}@{fault.request}"


def _parse_target(target: str) -> tuple[str | None, int | None]:
    if target.isdecimal():
        return None, int(target)
    path, _, number = target.partition("@")
    return None if path == "*" else path, int(number) if number else None
