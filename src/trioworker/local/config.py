"""The configuration of `trioworker local`."""

from __future__ import annotations

from pathlib import Path

import msgspec


class LocalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What `trioworker local` is told. `llm` is `script:FILE` or `openai:BASE_URL`."""

    text: str
    workspace: Path
    llm: str
    state_dir: Path
    """Where the worker's journal is kept while the job runs, so that a worker that is killed is resumed."""
    title: str | None = None
    model: str | None = None
    json_lines: bool = False
    database: Path | None = None
    web: bool = False
    """The page is told of, and stays when the job has ended."""
    worker_options: tuple[str, ...] = ()
    """Options handed on to the worker as they are: `--timeout 30 --log-level debug …`."""
