"""The rules of `.gitignore` files: which files and folders git ignores.

Only the files in the workspace count, not git's configuration. A file that is tracked and matches a rule is taken as
ignored, since the index isn't read.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from trioworker.errors import ToolError
from trioworker.worker.tools.files import read_regular
from trioworker.worker.tools.unicode_forms import composed
from trioworker.worker.tools.workspace import display

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    from trioworker.worker.tools.workspace import Workspace

NAME = ".gitignore"
MAX_RULES_BYTES = 256 * 1024
MAX_RULES = 2000
"""Bytes and lines of a `.gitignore` that are read, since compiling takes time: people write a few hundred."""


class GitIgnore:
    """The rules for one folder: those of its own `.gitignore`, then those of the folders above."""

    def __init__(self, folder: str, spec: GitIgnoreSpec, above: GitIgnore | None) -> None:
        self._prefix = f"{folder}/" if folder else ""
        self._spec = spec
        self._above = above

    @classmethod
    def read(cls, workspace: Workspace, folder: str, above: Self | None) -> Self | None:
        """The rules for `folder`, which is relative to the workspace and "" for its root.

        `above` are those of its parent, and the result where it has no usable `.gitignore`.
        """
        path = posixpath.join(folder, NAME)
        with suppress(OSError, ToolError):
            data = read_regular(workspace.open_file(path), path)
            if len(data) > MAX_RULES_BYTES:
                # A rule that is cut short is another rule, and may ignore everything.
                data = data[: data.rfind(b"\n", 0, MAX_RULES_BYTES) + 1]
            lines = composed(data.decode(errors="replace")).removeprefix("\ufeff").splitlines()
            spec = _compiled(lines[:MAX_RULES])
            if spec is not None:
                return cls(_comparable(folder), spec, above)
        return above

    @classmethod
    def above(cls, workspace: Workspace, folder: str) -> Self | None:
        """The rules that the folders above `folder` set for what is in it.

        A search that starts in an ignored folder does so on purpose, so the rules that ignore it don't apply.
        """
        rules: Self | None = None
        parent = ""
        if folder.startswith("/"):
            # Outside the workspace: the folder with kept outputs.
            return None
        for part in folder.split("/") if folder else ():
            rules = cls.read(workspace, parent, rules)
            parent = posixpath.join(parent, part)
            if rules is not None and rules.ignores(parent, is_directory=True):
                rules = None
        return rules

    def ignores(self, path: str, *, is_directory: bool) -> bool:
        """Whether git ignores this path, which is relative to the workspace and below the folder of these rules."""
        candidate = _comparable(path) + ("/" if is_directory else "")
        rules: GitIgnore | None = self
        while rules is not None:
            # The rules nearest to the file decide, and of one file the last that matches.
            decision = rules._spec.check_file(candidate[len(rules._prefix) :]).include
            if decision is not None:
                return decision
            rules = rules._above
        return False


def _comparable(path: str) -> str:
    return composed(display(path))


def _compiled(lines: list[str]) -> GitIgnoreSpec | None:
    """The rules, without those that are malformed; None if they are too large together."""
    # Imported at the first use: most jobs reach their first turn sooner without it.
    from pathspec import GitIgnoreSpec

    try:
        return GitIgnoreSpec.from_lines(lines)
    except Exception:
        # Any exception type: each of its engines raises its own. Git ignores a malformed rule, too.
        valid = [line for line in lines if _is_valid(line)]
    try:
        return GitIgnoreSpec.from_lines(valid)
    except Exception:
        return None


def _is_valid(line: str) -> bool:
    from pathspec import GitIgnoreSpec

    try:
        GitIgnoreSpec.from_lines([line])
    except Exception:
        return False
    return True
