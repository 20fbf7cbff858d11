"""Fixtures of the tools' tests: a workspace, a context, and a way to call a tool as the executor does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from trioworker.worker.processes.environment import child_environment
from trioworker.worker.processes.processes import Processes
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import ToolContext
from trioworker.worker.tools.registry import Registry
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from support.tooling import Call


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
async def context(root: Path) -> AsyncIterator[ToolContext]:
    with Workspace.open(root) as workspace:
        async with Processes() as processes:
            yield ToolContext(
                workspace=workspace,
                environment=child_environment(os.environ, {"GRANTED": "yes"}),
                processes=processes,
            )


@pytest.fixture
def call(context: ToolContext) -> Call:
    registry = Registry()

    async def run(name: str, /, **arguments: Any) -> Any:
        tool = registry.get(name)
        return await tool.run(parse_arguments(tool.parameters, arguments), context)

    return run
