"""Reads a file of JSON lines, and names the file of its results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from trioworker.errors import ConfigError
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
StructT = TypeVar("StructT", bound=msgspec.Struct)

BOM = b"\xef\xbb\xbf"
"""Some editors start a file with it."""
STDIN = Path("/dev/stdin")
SUFFIX = ".jsonl"


def read_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number and the object of each line. Blank lines are skipped, and a byte order mark is ignored.

    Raises:
        ConfigError: the file can't be read, or a line isn't a JSON object; the message has the file and the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a file with one JSON object per line") from error
    for number, text in enumerate(content.removeprefix(BOM).splitlines(), start=1):
        if text.strip():
            yield number, at_line(path, number, lambda text=text: _object(text))


def at_line(path: Path, number: int, parse: Callable[[], T]) -> T:
    """Return what `parse` returns.

    Raises:
        ConfigError: `parse` raised a `ValueError` or an error of msgspec; the message names the file and the line.
    """
    try:
        return parse()
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(f"{path}:{number}: {error}") from error


def results_path(path: Path, results: Path | None) -> Path:
    """The file of results: `results`, else a file beside `path`, named after it.

    Raises:
        ConfigError: `path` is standard input or another descriptor, which has no place for a file beside it; or
            `results` is the same file.
    """
    if results is not None:
        if results.resolve() == path.resolve():
            raise ConfigError(f"--results {results}: the file of jobs or tasks itself; name another file")
        return results
    if is_descriptor(path):
        raise ConfigError(f"{path}: no file can be beside it for the results; name one with --results")
    # Not `with_name`, which refuses `.` and `..`: that they are folders is found when they are read.
    return path.parent / f"{stem(path)}.results{SUFFIX}"


def is_descriptor(path: Path) -> bool:
    """Whether it is standard input or another descriptor, which is in no folder."""
    return str(path).startswith(("/dev/", "/proc/"))


def starts_with_a_job(path: Path) -> bool:
    """Whether the first line of a file is a job of an orchestrator. False if it can't be read, or only once."""
    if is_descriptor(path):
        return False
    try:
        for _, fields in read_lines(path):
            return "token" in fields
    except ConfigError:
        pass
    return False


def stem(path: Path) -> str:
    """The name without `.jsonl`. Any other ending is kept, so that `batch.1` and `batch.2` stay different."""
    return path.name.removesuffix(SUFFIX) or path.name


def convert(fields: dict[str, Any], kind: type[StructT]) -> StructT:
    """Make a struct of the fields of a line.

    Raises:
        ValueError: it has no such field.
        msgspec.ValidationError: a field is missing, or has another type.
    """
    names = [field.name for field in msgspec.structs.fields(kind)]
    unknown = next((name for name in fields if name not in names), None)
    if unknown is not None:
        raise ValueError(f"unknown field `{escape_line(unknown[:80])}`; the fields are {', '.join(names)}")
    return msgspec.convert(fields, kind)


def _object(text: bytes) -> dict[str, Any]:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        raise ValueError("not UTF-8; save the file as UTF-8") from error
    try:
        return cast("dict[str, Any]", msgspec.json.decode(text, type=dict))
    except msgspec.MsgspecError as error:
        raise ValueError(f"{error}; write one JSON object per line") from error
    except RecursionError as error:
        raise ValueError("nested too deeply; use fewer levels") from error
