"""A redaction mark never replaces the secret that it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trioworker import run_job
from trioworker.errors import ToolError
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker.worker.tools.redaction_marks import check_marks
from worker.redaction.secret_samples import MIXED

if TYPE_CHECKING:
    from pathlib import Path

    from support.tooling import Call

MARK = "[REDACTED:openai_api_key]"
KEY = "sk-" + MIXED[:40]
DOTENV = f"API_KEY={KEY}\nDEBUG=0\n"


async def test_key_is_still_there_after_another_line_of_the_file_was_edited(workspace: Path) -> None:
    (workspace / ".env").write_text(DOTENV)
    world = SimulatedOrchestrator(
        [
            call("read_file", path=".env"),
            call("write_file", path=".env", content=f"API_KEY={MARK}\nDEBUG=1\n"),
            call("apply_patch", path=".env", old_string="DEBUG=0", new_string="DEBUG=1"),
            DONE,
        ],
        thinking=0.0,
    )
    outcome = await run_job(world.config(workspace), transport=world)
    assert outcome.success
    assert (workspace / ".env").read_text() == DOTENV.replace("DEBUG=0", "DEBUG=1")
    shown, refused, _ = [message["content"] for message in world.conversations()[-1] if message["role"] == "tool"]
    assert KEY not in str(world.exchanges)
    assert f"API_KEY={MARK}" in shown
    assert "is a placeholder that would overwrite the secret" in refused
    assert "apply_patch" in refused


async def test_mark_in_a_new_file_is_refused(call: Call, root: Path) -> None:
    with pytest.raises(ToolError, match=r"cannot write notes: \[REDACTED:openai_api_key\] is a placeholder") as caught:
        await call("write_file", path="notes", content=f"The key is {MARK}.")
    assert "\n" not in str(caught.value)
    assert not (root / "notes").exists()


async def test_file_that_contains_marks_can_be_written_with_them(call: Call, root: Path) -> None:
    (root / "docs.md").write_text(f"Keys are shown as {MARK}.\n")
    await call("write_file", path="docs.md", content=f"Secrets are shown as {MARK}.\n")
    assert "Secrets" in (root / "docs.md").read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", MARK),
        (MARK, f"{MARK} {MARK}"),
        (MARK, "[REDACTED:granted_credential]"),
        (f"{MARK} {MARK} {KEY}", f"{MARK} [REDACTED:worker_token]"),
    ],
)
def test_more_marks_of_a_kind_than_before_are_refused(before: str, after: str) -> None:
    with pytest.raises(ToolError):
        check_marks(before, after, "file")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (MARK, MARK),
        (f"{MARK} {MARK}", MARK),
        ("", "[REDACTED]"),
        ("", 'f"[REDACTED:{kind}]"'),
        ("", "REDACTED:openai_api_key"),
    ],
)
def test_same_or_fewer_marks_and_text_like_marks_pass(before: str, after: str) -> None:
    check_marks(before, after, "file")


async def test_a_patch_that_would_write_a_mark_changes_no_file(call: Call, root: Path) -> None:
    (root / "a").write_text("one\n")
    (root / "b").write_text(f"key: {KEY}\n")
    patch = f"""\
*** Begin Patch
*** Update File: a
-one
+two
*** Update File: b
-key: {KEY}
+key: {MARK}
*** End Patch
"""
    with pytest.raises(
        ToolError, match=r"^no file was changed: cannot write b: \[REDACTED:openai_api_key\] is a placeholder"
    ):
        await call("apply_patch", patch=patch)
    assert (root / "a").read_text() == "one\n"
    with pytest.raises(ToolError, match="is a placeholder"):
        await call("apply_patch", path="b", old_string=KEY, new_string=MARK)
    assert KEY in (root / "b").read_text()


async def test_a_mark_in_old_string_is_explained(call: Call, root: Path) -> None:
    (root / ".env").write_text(DOTENV)
    with pytest.raises(
        ToolError, match=r"old_string is not in .env; \[REDACTED:openai_api_key\] is a placeholder for a secret"
    ):
        await call("apply_patch", path=".env", old_string=f"API_KEY={MARK}\nDEBUG=0", new_string="DEBUG=1")
