"""Runs flake8 with flake8-async, in a third of the time. The arguments are those of flake8.

flake8-async takes most of its time for passes over concrete syntax trees. Of the rules that scripts/test selects, only
ASYNC101 needs them, and that is about `yield`: a file without it is checked by its abstract syntax tree.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import flake8_async
from flake8.main.cli import main
from flake8_async.runner import Flake8AsyncRunner

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flake8_async.base import Error


class Plugin(flake8_async.Plugin):
    def __init__(self, tree: ast.AST, lines: Sequence[str], filename: str | None = None) -> None:
        self._yields = any(isinstance(node, ast.Yield) for node in ast.walk(tree))
        if self._yields:
            super().__init__(tree, lines, filename)
        self._tree = tree

    def run(self) -> Iterable[Error]:
        return super().run() if self._yields else Flake8AsyncRunner.run(self._tree, self.options)


flake8_async.Plugin = Plugin
raise SystemExit(main())
