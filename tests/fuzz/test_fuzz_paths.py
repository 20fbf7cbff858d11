"""Paths of any form, for every tool that takes one: files outside the workspace are neither read nor changed."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from hypothesis import given
from hypothesis import strategies as st

from fuzz.foreign import ANY_TEXT
from fuzz.profile import fuzzing
from trioworker.errors import ToolError
from trioworker.linux.secure_open import kernel_opener, walking_opener
from trioworker.worker.processes.processes import Processes
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import ToolContext
from trioworker.worker.tools.registry import Registry
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    from trioworker.linux.secure_open import Opener

SENTINEL = "the-content-that-lies-outside"
PARTS = [
    "..", ".", "", "/", "a", "b", "file", "new", "outside", "sentinel", "workspace", "workspace2", "link_out",
    "link_up", "link_root", "link_in", "loop", "dangling", "fifo", "proc", "self", "root", "cwd", "fd", "~", "$HOME",
    "*", "**", "{a,b}", "\0", "\udcff", "\u2025", "..%2f", "x" * 300,
]  # fmt: skip
paths = st.lists(st.sampled_from(PARTS) | ANY_TEXT, max_size=8).map("/".join) | ANY_TEXT
TOOLS = ["read_file", "list_dir", "glob", "grep", "write_file", "apply_patch"]
OTHER_ARGUMENTS: dict[str, dict[str, Any]] = {
    "list_dir": {"recursive": True},
    "glob": {"pattern": "**/*"},
    "grep": {"pattern": ".", "mode": "content"},
    "write_file": {"content": "changed"},
    "apply_patch": {"old_string": "-", "new_string": "+", "replace_all": True},
}


@fuzzing()
@given(st.sampled_from(TOOLS), paths, st.booleans(), st.sampled_from([kernel_opener, walking_opener]))
def test_path_does_not_reach_outside(name: str, path: str, is_absolute: bool, opener: Opener) -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder)
        outside = _laid_out(place)
        before = _state(outside)
        arguments = {"path": f"{place}/{path}" if is_absolute else path, **OTHER_ARGUMENTS.get(name, {})}
        shown = trio.run(partial(_called, place / "workspace", opener, name, arguments))
        assert SENTINEL not in shown
        assert _state(outside) == before
        assert set(os.listdir(place)) == {"outside", "workspace", "workspace2"}


@fuzzing(0.3)
@given(st.sampled_from(["glob", "grep"]), st.lists(st.sampled_from(PARTS)).map("/".join) | ANY_TEXT)
def test_pattern_does_not_reach_outside(name: str, pattern: str) -> None:
    with TemporaryDirectory() as folder:
        _laid_out(Path(folder))
        arguments = {"pattern": pattern, "path": "."} if name == "glob" else {"pattern": ".", "glob": pattern}
        shown = trio.run(partial(_called, Path(folder) / "workspace", kernel_opener, name, arguments))
        assert SENTINEL not in shown
        assert "outside/sentinel" not in shown


def _laid_out(place: Path) -> Path:
    outside, inside = place / "outside", place / "workspace"
    outside.mkdir()
    (outside / "sentinel").write_text(SENTINEL)
    (place / "workspace2").mkdir()
    (place / "workspace2" / "file").write_text(SENTINEL)
    (inside / "a" / "b").mkdir(parents=True)
    (inside / "a" / "file").write_text("in-side")
    links = {"link_out": "../outside", "link_up": "..", "link_root": "/", "link_in": "a", "loop": "loop"}
    for name, target in {**links, "dangling": "../outside/new", "a/b/link_out": "../../../outside/sentinel"}.items():
        (inside / name).symlink_to(target)
    os.mkfifo(inside / "fifo")
    return outside


def _state(folder: Path) -> dict[str, tuple[str, int]]:
    return {entry.name: (entry.read_text(), entry.stat().st_mtime_ns) for entry in folder.iterdir()}


async def _called(root: Path, opener: Opener, name: str, arguments: dict[str, Any]) -> str:
    tool = Registry().get(name)
    with Workspace.open(root, opener) as workspace:
        async with Processes() as processes:
            context = ToolContext(workspace=workspace, environment={}, processes=processes)
            try:
                result = await tool.run(parse_arguments(tool.parameters, arguments), context)
            except ToolError as error:
                return str(error)
    return msgspec.json.encode(result).decode()
