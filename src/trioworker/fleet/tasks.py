"""The file of tasks: one JSON object per line, what to do and where."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from trioworker.errors import ConfigError
from trioworker.fleet.jobs import parse_options
from trioworker.fleet.lines import at_line, convert, is_descriptor, read_lines
from trioworker.orchestrator.views import title_of

if TYPE_CHECKING:
    from trioworker.fleet.jobs import Parsers


class Repository(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A git repository to clone. `revision` is a branch, a tag or a commit; None is the repository's default branch."""

    repository: str
    revision: str | None = None


Source = Path | Repository


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task for an agent.

    Attributes:
        key: identifies the task in every run of its file: a digest of the line, and its number among equal lines.
        title: what people call it.
        text: what to do.
        workspace: the folder to work in; None for a new one.
        source: what the workspace is made of; None: it exists, or is a new empty folder.
        worker_options: options of the worker, as arguments.
    """

    key: str
    title: str
    text: str
    workspace: Path | None
    source: Source | None
    worker_options: tuple[str, ...]


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    task: str
    title: str | None = None
    workspace: str | None = None
    workspace_from: str | Repository | None = None
    options: dict[str, str | int | float] = {}


def read_tasks(path: Path, *, worker_options: Parsers) -> list[Task]:
    """Read the tasks of a file, in order. Relative paths start at the file's folder.

    `worker_options` are the options that a line may set, each with the parser of its value.

    Raises:
        ConfigError: the file can't be read, or a line isn't a task that can be run; the message has the file and line.
    """
    base = Path.cwd() if is_descriptor(path) else path.resolve().parent
    copies = Counter[str]()
    tasks: list[Task] = []
    workspaces: dict[Path, int] = {}
    for number, fields in read_lines(path):
        # Sorted: the order of the fields and the spaces between them don't make another task.
        content = msgspec.json.encode(fields, order="sorted")
        key = hashlib.sha256(content).hexdigest()[:32]
        copies[key] += 1
        task = at_line(
            path, number, lambda fields=fields, key=key: _task(fields, f"{key}-{copies[key]}", base, worker_options)
        )
        if task.workspace is not None:
            folder = task.workspace.resolve()
            first = workspaces.setdefault(folder, number)
            if first != number:
                raise ConfigError(f"{path}:{number}: line {first} has the same workspace, {folder}; name another one")
        tasks.append(task)
    if not tasks:
        raise ConfigError(f'{path}: contains no tasks; give each one a line of JSON: {{"task": "…"}}')
    return tasks


def _task(fields: dict[str, Any], key: str, base: Path, worker_options: Parsers) -> Task:
    if "token" in fields:
        raise ValueError(
            "a job of an orchestrator, which --llm can't run; leave out --llm and TRIOWORKER_LLM, or write a line with "
            "`task`"
        )
    line = convert(fields, _Line)
    if not line.task.strip():
        raise ValueError("`task` is empty; describe what to do")
    for name, text in (("task", line.task), ("title", line.title or "")):
        if "\0" in text:
            raise ValueError(f"`{name}` contains a NUL character; remove it")
    source = _source(line.workspace_from, base)
    workspace = None if line.workspace is None else _path("workspace", line.workspace, base)
    if workspace is not None and source is None and not os.path.isdir(workspace):
        raise ValueError(f"workspace: no such folder: {workspace}; create it, or give `workspace_from`")
    if workspace is not None and isinstance(source, Path) and workspace.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"workspace: {workspace} is inside `workspace_from`, of which it would be a copy")
    return Task(
        key=key,
        title=line.title or title_of(line.task),
        text=line.task,
        workspace=workspace,
        source=source,
        worker_options=parse_options(line.options, worker_options),
    )


def _source(given: str | Repository | None, base: Path) -> Source | None:
    if given is None:
        return None
    if isinstance(given, str):
        folder = _path("workspace_from", given, base)
        if not os.path.isdir(folder):
            raise ValueError(
                f"workspace_from: no such folder: {folder}; name one to copy, or a repository to clone by "
                '{"repository": "URL", "revision": "main"}'
            )
        return folder
    for name, text in (("repository", given.repository), ("revision", given.revision)):
        if text is not None and (not text.strip() or text.startswith("-") or not text.isprintable()):
            raise ValueError(f"workspace_from.{name}: {text[:200]!r} is not a {name} that git could have")
    local = _path("repository", given.repository, base)
    return msgspec.structs.replace(given, repository=str(local)) if os.path.isdir(local) else given


def _path(name: str, text: str, base: Path) -> Path:
    if not text.strip() or "\0" in text:
        raise ValueError(f"{name}: {text[:200]!r} is not a path")
    try:
        return base / Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{name}: {text[:200]!r}: {error}") from error
