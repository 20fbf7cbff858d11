"""Validates the arguments of a call against the tool's parameters.

Models send numbers as strings, objects as JSON strings, empty values for absent ones, and parameter names of other
agents' tools. Unambiguous arguments are converted. All other problems are reported at once, each with its field's path.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import msgspec

from trioworker.errors import InvalidParametersError
from trioworker.protocol.escapes import with_literal_backslashes
from trioworker.protocol.json_size import has_too_many_values
from trioworker.protocol.text import truncate
from trioworker.worker.tools.other_names import snake_case

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trioworker.worker.tools.base import Parameters
    from trioworker.worker.tools.other_names import OtherNames

WRAPPERS = frozenset({"arguments", "args", "parameters", "params", "kwargs", "input"})
"""Names under which models wrap the whole arguments object."""
REMARKS = frozenset(
    {
        "comment", "description", "explanation", "intent", "justification", "purpose", "rationale", "reason",
        "reasoning", "thought", "thoughts",
    }
)  # fmt: skip
"""Arguments in which a model explains its call; they have no effect."""
MAX_NAMES = 10
MAX_NAME_BYTES = 60
"""Unknown arguments that an error lists, and bytes of each name."""


def parse_arguments(parameters: type[Parameters], arguments: Any) -> Parameters:
    """Convert the model's arguments to the tool's struct.

    Raises:
        InvalidParametersError: some are invalid; it lists all of them.
    """
    given, problems = _with_real_names(parameters, _object(parameters, arguments))
    values: dict[str, Any] = {}
    for expected in _fields(parameters):
        if expected.encode_name not in given:
            if expected.required:
                problems.append(f"{expected.encode_name}: required but missing")
            continue
        try:
            values[expected.name] = _coerced(given[expected.encode_name], expected.type)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            problems.append(_problem(expected.encode_name, str(error)))
            continue
        if _contains_nul(values[expected.name]):
            problems.append(f"{expected.encode_name}: must not contain NUL bytes")
    if problems:
        raise InvalidParametersError(problems)
    return parameters(**values)


def with_real_names(parameters: type[Parameters], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments under the parameters' own names, without those that mean absent.

    Raises:
        InvalidParametersError: a name is unknown, two names of one parameter have different values, or a value can't
            be converted.
    """
    values, problems = _with_real_names(parameters, given)
    if problems:
        raise InvalidParametersError(problems)
    return values


def _object(parameters: type[Parameters], arguments: Any) -> dict[str, Any]:
    if isinstance(arguments, str):
        arguments = _decoded(arguments)
    if arguments in (None, [], ""):
        return {}
    try:
        given = msgspec.convert(arguments, dict[str, Any])
    except (msgspec.ValidationError, UnicodeEncodeError) as error:
        raise InvalidParametersError([_problem("arguments", str(error))]) from error
    known = {field.encode_name for field in _fields(parameters)}
    if len(given) == 1 and not known & given.keys() and WRAPPERS & given.keys():
        (inner,) = given.values()
        inner = _decoded(inner) if isinstance(inner, str) else inner
        if isinstance(inner, dict):
            return msgspec.convert(inner, dict[str, Any])
    return given


def _with_real_names(parameters: type[Parameters], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    fields = {field.encode_name: field for field in _fields(parameters)}
    meant = _Meant()
    renamed: list[tuple[str, str, Any]] = []
    unknown: list[str] = []
    for name, value in given.items():
        parameter = _meaning(name, fields, parameters.other_names)
        if parameter is None:
            if name not in REMARKS:
                unknown.append(name)
        elif not _means_absent(value, fields.get(parameter)):
            renamed.append((parameter, name, value))
    plain = {parameter: value for parameter, _, value in renamed if parameter in fields}
    for parameter, name, value in renamed:
        convert = parameters.other_names.get(parameter)
        if convert is None or isinstance(convert, str):
            meant.add(parameter, name, value)
            continue
        try:
            for target, converted in convert(value, plain).items():
                meant.add(target, name, converted)
        except ValueError as error:
            meant.problems.append(f"{_shown(name)}: {error}")
    if unknown:
        names = ", ".join(map(_shown, unknown[:MAX_NAMES])) + (", …" if len(unknown) > MAX_NAMES else "")
        meant.problems.append(f"{names}: unknown; the parameters are {', '.join(fields)}")
    return meant.values, meant.problems


class _Meant:
    """The arguments by parameter, and the name under which each was sent."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.problems: list[str] = []
        self._names: dict[str, str] = {}

    def add(self, parameter: str, name: str, value: Any) -> None:
        if parameter not in self.values:
            self.values[parameter], self._names[parameter] = value, name
        elif self.values[parameter] != value:
            names = f"{_shown(self._names[parameter])}, {_shown(name)}"
            self.problems.append(f"{names}: both mean {parameter}, but differ; give only {parameter}")


def _meaning(name: str, fields: Mapping[str, Any], other_names: OtherNames) -> str | None:
    """The parameter or the conversion that a name stands for; None if it is unknown."""
    for form in (name, snake_case(name[:MAX_NAME_BYTES])):
        if form in fields:
            return form
        if form in other_names:
            meaning = other_names[form]
            return meaning if isinstance(meaning, str) else form
    return None


def _means_absent(value: Any, field: msgspec.structs.FieldInfo | None) -> bool:
    """Whether a value means "absent": null, or an empty text for an optional argument that takes no text."""
    if value is None:
        return field is None or not (field.required and _accepts(field.type, (None, NoneType)))
    if field is None or field.required:
        return False
    return isinstance(value, str) and not value.strip() and not _accepts(field.type, (str,))


def _accepts(wanted: Any, types: tuple[Any, ...]) -> bool:
    """Whether a field of type `wanted` takes values of one of `types`."""
    if get_origin(wanted) is Annotated:
        return _accepts(get_args(wanted)[0], types)
    if get_origin(wanted) in (Union, UnionType):
        return any(_accepts(member, types) for member in get_args(wanted))
    return wanted in (*types, Any, object)


@cache
def _fields(parameters: type[Parameters]) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The parameters. Cached: resolving annotations takes longer than the rest of a call's validation."""
    return msgspec.structs.fields(parameters)


def _coerced(value: Any, wanted: Any) -> Any:
    try:
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError:
        parsed = _decoded(value) if isinstance(value, str) else value
        if isinstance(parsed, str | int | float | bool) or parsed is value:
            raise
        return msgspec.convert(parsed, wanted, strict=False)


def _decoded(text: str) -> Any:
    if has_too_many_values(text):
        return text
    for form in (text, with_literal_backslashes(text)):
        with suppress(msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return msgspec.json.decode(form)
    return text


def _problem(field: str, message: str) -> str:
    """msgspec's message, `Expected X, got Y - at `$[1].z``, with the path moved to the field's name."""
    text, _, path = message.partition(" - at `$")
    return f"{field}{path.rstrip('`')}: {text}"


def _shown(name: str) -> str:
    """A name from the model, for an error of one line."""
    return truncate(name if name.isprintable() else ascii(name), MAX_NAME_BYTES)


def _contains_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value
