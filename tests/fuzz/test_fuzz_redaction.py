"""No part of a secret is shown, wherever a tool, the safety layer or a preview cuts the text."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import trio
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.foreign import ANY_TEXT
from fuzz.profile import fuzzing
from trioworker.worker.config import DEFAULT_OUTPUT_LIMIT
from trioworker.worker.processes.output import CollectedOutput
from trioworker.worker.processes.processes import Processes
from trioworker.worker.redaction.injection import marks
from trioworker.worker.redaction.safety_layer import SafetyLayer
from trioworker.worker.redaction.secrets import Redactor
from trioworker.worker.tools.base import ToolContext
from trioworker.worker.tools.cut import cut_middle
from trioworker.worker.tools.excerpt import MAX_LINE_BYTES
from trioworker.worker.tools.grep import Grep, GrepParameters
from trioworker.worker.tools.workspace import Workspace
from worker.redaction.secret_samples import MIXED, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECTED_BYTES = 64 * 1024
PIECE = 8
"""A run of so many characters of a secret must not be shown."""
GRANTED = "Gr4nted+value/of=a~service.account-" + MIXED[40:60]
TOKEN = "the-own-token-" + MIXED[60:80]
LAYER = SafetyLayer(Redactor(token=TOKEN, credentials=[GRANTED]))
SECRETS = [secret for _, secret in SAMPLES] + [GRANTED, TOKEN]
PADDING = ["word ", "two words\n", "# \u00e9\u00e9 \U0001f600 ", "a, b;\n\n", '"x": ', "\t(y) "]

secrets = st.sampled_from(SECRETS)
paddings = st.sampled_from(PADDING)
offsets = st.integers(-120, 120)


def pieces(secret: str) -> Iterator[str]:
    """Yield the parts of a secret that must not be shown, without labels and the lines around a key."""
    for part in secret.split():
        if "----" in part or part in {"BEGIN", "END", "PRIVATE", "BLOCK"} or part.lower().startswith("authorization:"):
            continue
        yield from (part[start : start + PIECE] for start in range(max(1, len(part) - PIECE + 1)))


def assert_hidden(secret: str, shown: str) -> None:
    """Assert that no part of the secret of `PIECE` characters is in the text."""
    assert not [piece for piece in pieces(secret) if len(piece) >= PIECE and piece in shown]


def padded(secret: str, padding: str, before: int, after: int) -> str:
    """The secret with about `before` and `after` bytes of padding around it."""
    width = len(padding.encode())
    return padding * (before // width) + "." * (before % width) + " " + secret + " " + padding * (after // width)


@fuzzing()
@given(secrets, paddings, st.sampled_from([DEFAULT_OUTPUT_LIMIT // 2, 10]), offsets, st.booleans())
def test_no_part_of_a_secret_is_shown_around_the_cut_of_a_long_output(
    secret: str, padding: str, before: int, offset: int, at_the_end: bool
) -> None:
    sizes = (max(0, before + offset), DEFAULT_OUTPUT_LIMIT)
    text = padded(secret, padding, *(reversed(sizes) if at_the_end else sizes))
    assert_hidden(secret, cut_middle(LAYER.tool_output(text).text, DEFAULT_OUTPUT_LIMIT, ""))


@fuzzing()
@given(secrets, paddings, st.integers(0, 600), st.sampled_from([500, 2000]))
def test_no_part_of_a_secret_is_shown_around_the_cut_of_a_preview(
    secret: str, padding: str, before: int, limit: int
) -> None:
    assert_hidden(secret, LAYER.preview(padded(secret, padding, limit - before, 1000), limit))


@fuzzing()
@given(secrets, paddings, offsets, st.booleans(), st.lists(st.integers(1, 70_000), max_size=8))
def test_no_part_of_a_secret_is_shown_around_the_cut_of_a_commands_output(
    secret: str, padding: str, offset: int, in_the_tail: bool, sizes: list[int]
) -> None:
    half = COLLECTED_BYTES // 2
    before, after = (100_000, half - len(secret) + offset) if in_the_tail else (half + offset, 100_000)
    stream = padded(secret, padding, before, after).encode()
    window = CollectedOutput(COLLECTED_BYTES)
    for size in sizes:
        window.feed(stream[:size])
        stream = stream[size:]
    window.feed(stream)
    assert_hidden(secret, LAYER.tool_output(window.text()).text)


@fuzzing(0.25)
@given(st.sampled_from([secret for secret in SECRETS if "\n" not in secret]), paddings, offsets)
def test_no_part_of_a_secret_is_shown_around_the_cut_of_a_long_line(secret: str, padding: str, offset: int) -> None:
    line = padded(secret, padding.replace("\n", " "), MAX_LINE_BYTES + offset, 500)
    assert_hidden(secret, LAYER.tool_output(trio.run(_grepped, line)).text)


async def _grepped(line: str) -> str:
    with TemporaryDirectory() as folder, Workspace.open(Path(folder)) as workspace:
        (Path(folder) / "file").write_text(line)
        async with Processes() as processes:
            context = ToolContext(workspace=workspace, environment={}, processes=processes)
            return await Grep().run(GrepParameters(pattern=".", mode="content"), context)


END = "-----END RSA PRIVATE KEY-----"


@fuzzing(2.0)
@given(st.lists(ANY_TEXT | st.sampled_from([*SECRETS, *(secret[:-9] for secret in SECRETS), "[REDACTED:", "]"])))
@example(
    ["-----END RSA PRIVATE KEY-----", "[7 bytes of the output were dropped here]", "-----END RSA PRIVATE KEY-----"]
)
def test_redaction_accepts_any_text_and_a_second_one_changes_nothing(parts: list[str]) -> None:
    text = "".join(parts)
    once = LAYER.redact(text)
    assert LAYER.redact(once) == once
    assert GRANTED not in once
    assert isinstance(marks(text), tuple)
