"""Reads OpenAI's patch format (`*** Begin Patch`), which its models use unprompted.

A patch has one section per file. A section that updates a file has hunks: lines to find in the file, each after a
space or a `-`, and lines to put there, each after a space or a `+`. `@@ LINE` says after which line a hunk is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trioworker.errors import ToolError
from trioworker.protocol.text import truncate_words

BEGIN, END = "*** Begin Patch", "*** End Patch"
ADD, UPDATE, DELETE, MOVE = "*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "
END_OF_FILE = "*** End of File"
MAX_HUNKS = 500
"""Hunks for one file: each searches the whole file."""
MAX_PATCH_LINES = 200_000
"""Lines of a patch: each takes some hundred bytes of memory."""
NO_NEWLINE = "\\ No newline at end of file"
GIT_POSITION = re.compile(r"-\d+(,\d+)? \+\d+(,\d+)? @@ ?")
"""The line numbers of a hunk as git writes them. They are ignored, since models count badly."""


@dataclass
class Hunk:
    """Some lines of a file, and their change.

    Attributes:
        after: lines that come before the hunk, in this order, as its `@@` lines name them.
        lines: a mark, which is a space, `-` or `+`, and the line.
        at_end: whether the hunk ends with the file.
    """

    after: list[str] = field(default_factory=list[str])
    lines: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    at_end: bool = False


@dataclass
class AddFile:
    """A file to create."""

    path: str
    lines: list[str] = field(default_factory=list[str])


@dataclass
class DeleteFile:
    """A file to delete."""

    path: str


@dataclass
class UpdateFile:
    """A file to change, and where to move it."""

    path: str
    target: str = ""
    hunks: list[Hunk] = field(default_factory=list[Hunk])


Section = AddFile | DeleteFile | UpdateFile


def parse_patch(text: str) -> list[Section]:
    """The sections of a patch, in order. Text around the patch, such as a shell command, is ignored.

    Raises:
        ToolError: the patch is malformed; the message names the line.
    """
    if (count := text.count("\n")) > MAX_PATCH_LINES:
        raise ToolError(f"patch: {count} lines, at most {MAX_PATCH_LINES} are accepted; send several patches")
    lines = text.replace("\r\n", "\n").split("\n")
    marks = [line.rstrip() for line in lines]
    if BEGIN not in marks:
        raise ToolError(f"patch: expected a line {BEGIN!r}, and lines like {UPDATE + 'PATH'!r} after it")
    begin = marks.index(BEGIN)
    if END not in marks[begin:]:
        raise ToolError(f"patch: the line {END!r} is missing; send the whole patch")
    end = marks.index(END, begin)
    parser = _Parser()
    for number, line in enumerate(lines[begin + 1 : end], begin + 2):
        parser.take(line, number)
    return parser.finished()


class _Parser:
    def __init__(self) -> None:
        self._sections: list[Section] = []

    def take(self, line: str, number: int) -> None:
        """Read one line."""
        header = line.rstrip()
        section = self._sections[-1] if self._sections else None
        for mark, kind in ((ADD, AddFile), (UPDATE, UpdateFile), (DELETE, DeleteFile)):
            if header.startswith(mark):
                self._sections.append(kind(header.removeprefix(mark).strip()))
                return
        match section:
            case UpdateFile() if header.startswith(MOVE) and not section.hunks:
                section.target = header.removeprefix(MOVE).strip()
            case UpdateFile():
                _take_change(section, line, number)
            case AddFile() if line.startswith("+"):
                section.lines.append(line[1:])
            case _ if not header:
                pass
            case AddFile():
                raise _error(number, line, "each line of a new file must start with +")
            case _:
                raise _error(number, line, f"expected a line like {UPDATE + 'PATH'!r}")

    def finished(self) -> list[Section]:
        """The sections, after the last line."""
        if not self._sections:
            raise ToolError("patch: it has no sections; nothing would change")
        for section in self._sections:
            if isinstance(section, UpdateFile) and not section.hunks and not section.target:
                raise ToolError(f"patch: the section of {section.path} has no lines; nothing would change")
        return self._sections


def _take_change(section: UpdateFile, line: str, number: int) -> None:
    hunks = section.hunks
    if line.startswith("@@"):
        if not hunks or hunks[-1].lines:
            hunks.append(Hunk())
        if len(hunks) > MAX_HUNKS:
            raise _error(number, line, f"more than {MAX_HUNKS} hunks for one file; split them into several patches")
        after = GIT_POSITION.sub("", line[2:].strip()).strip()
        if after:
            hunks[-1].after.append(after)
        return
    if not hunks:
        hunks.append(Hunk())
    if line.strip() == END_OF_FILE:
        hunks[-1].at_end = True
    elif not line:
        # Models omit the space of an empty line.
        hunks[-1].lines.append((" ", ""))
    elif line[0] in " -+":
        hunks[-1].lines.append((line[0], line[1:]))
    elif line != NO_NEWLINE:
        raise _error(number, line, "each line must start with a space, + or -, and each hunk with @@")


def _error(number: int, line: str, remedy: str) -> ToolError:
    return ToolError(f"patch, line {number}: {truncate_words(line, MAX_QUOTED)!r}: {remedy}")


MAX_QUOTED = 80
"""Bytes of a line that an error quotes."""
