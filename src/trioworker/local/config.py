"""The configuration of `trioworker local`."""

from __future__ import annotations

from pathlib import Path

import msgspec

NEWEST = "newest"
"""In place of a job's id: the newest unfinished one of the workspace."""


class LocalConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Options of `trioworker local`. `llm` is `script:FILE`, `openai` or `openai:BASE_URL`."""

    text: str
    workspace: Path
    llm: str
    state_dir: Path
    """The folder of the database and of the journals from which killed jobs are resumed."""
    title: str | None = None
    model: str | None = None
    api_key_variable: str | None = None
    """The variable with the key of the model server; None is `OPENAI_API_KEY`."""
    json_lines: bool = False
    web: bool = False
    """Print the web page's URL, and keep serving the page after the job has ended."""
    follow_ups: bool = False
    """Read follow-ups from standard input even if it isn't a terminal."""
    new: bool = False
    """Start a new job, even if there is an unfinished one with the same text and workspace."""
    resume: str | None = None
    """Resume an unfinished job instead of starting one: the start of its id, or `NEWEST`."""
    worker_options: tuple[str, ...] = ()
    """Options passed to the worker unchanged: `--timeout=30`, `--log-level=debug`, …"""
