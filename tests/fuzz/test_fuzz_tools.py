"""Input of tools from a model: arguments of any shape, commands of any text, patches of any kind."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.foreign import ANY_TEXT, JSON
from fuzz.profile import fuzzing
from trioworker.errors import InvalidParametersError, ToolError
from trioworker.worker.processes.processes import Processes
from trioworker.worker.tools.apply_patch import ApplyPatch, ApplyPatchParameters
from trioworker.worker.tools.arguments import parse_arguments
from trioworker.worker.tools.base import ToolContext
from trioworker.worker.tools.command_denylist import REMEDIES, refusal
from trioworker.worker.tools.line_ends import flat
from trioworker.worker.tools.patch_format import UpdateFile, parse_patch
from trioworker.worker.tools.patch_hunks import patched
from trioworker.worker.tools.registry import BUILTIN_TOOLS
from trioworker.worker.tools.shell import MAX_COMMAND_BYTES
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    from trioworker.worker.tools.base import AnyTool

FIELDS = sorted({field.encode_name for tool in BUILTIN_TOOLS for field in msgspec.structs.fields(tool.parameters)})
values = JSON | ANY_TEXT | JSON.map(lambda value: msgspec.json.encode(value).decode()) | st.just("9" * 5000)
arguments = st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), values, max_size=8)

COMMAND_WORDS = [
    "rm", "-rf", "/", "/*", "sudo", "doas", "find", "-exec", ";", "\\;", "+", "eval", "bash", "-c", "env", "timeout",
    "1",
    "curl", "wget", "|", "||", "&&", "&", "$(", ")", "`", "(", "{", "}", "'", '"', "$'", "<<", "<<<", "EOF", "\n", "<(",
    ">", "2>", "/dev/sda", ":(){", ":|:&", "};:", "f()", "x=1", "function", "xargs", "cat", "~/.ssh/id_rsa", "\\", "#",
    "for", "do", "done", "${", "python3", "-", "dd", "if=/dev/zero", "mkfs.ext4", "chmod", "-R", "777", "tee",
]  # fmt: skip
commands = st.lists(st.sampled_from(COMMAND_WORDS) | ANY_TEXT, max_size=30)
REFUSAL_SECONDS = 10.0
"""CPU seconds for a command of the greatest length, on a slow machine; a quadratic check takes minutes."""


@fuzzing(2.0)
@given(st.sampled_from(BUILTIN_TOOLS), arguments | values)
@example(BUILTIN_TOOLS[0], "\ud800")
@example(BUILTIN_TOOLS[0], {"command": "x", "timeout": "\ud800"})
@example(BUILTIN_TOOLS[1], {"path": "x", "limit": "9" * 5000})
def test_any_arguments_are_parsed_or_refused(tool: AnyTool, given_arguments: Any) -> None:
    try:
        parsed = parse_arguments(tool.parameters, given_arguments)
    except InvalidParametersError as error:
        problems = error.problems
    else:
        # Parsed arguments fit the schema, so they parse again.
        assert msgspec.convert(msgspec.to_builtins(parsed), type(parsed)) == parsed
        assert tool.time_limit(parsed) > 0
        return
    assert problems
    assert all(": " in problem for problem in problems)


@fuzzing(2.0)
@given(commands, st.sampled_from(["", " "]))
def test_any_command_is_checked_without_an_error(words: list[str], joint: str) -> None:
    refused = refusal(joint.join(words))
    assert refused is None or refused.partition(": ")[0] in REMEDIES


@fuzzing(0.01)
@given(st.lists(st.sampled_from(COMMAND_WORDS), min_size=1, max_size=4).map(" ".join))
@example("find -exec")
@example("eval")
def test_longest_commands_are_checked_in_linear_time(unit: str) -> None:
    command = f"{unit} " * (MAX_COMMAND_BYTES // len(unit.encode() + b" "))
    began = time.process_time()
    refusal(command)
    assert time.process_time() - began < REFUSAL_SECONDS


def test_longest_words_are_checked_in_linear_time() -> None:
    began = time.process_time()
    assert refusal("a" * (MAX_COMMAND_BYTES - 2) + "()") is None
    assert refusal("curl x | " + "1" * (MAX_COMMAND_BYTES - 20) + "x") is None
    assert time.process_time() - began < REFUSAL_SECONDS


texts = st.lists(
    st.sampled_from(["a", "b", " ", "\n", "\r\n", "\r", "     1│ ", "\u00e9", "\ufeff", "\0"]) | ANY_TEXT
).map("".join)
contents = texts.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=60)


@fuzzing()
@given(contents, texts, texts, st.booleans(), st.integers(0, 30), st.integers(0, 30))
def test_patch_changes_only_what_it_quotes(
    content: bytes, old: str, new: str, everywhere: bool, start: int, size: int
) -> None:
    decoded = content.decode("utf-8", "replace")
    # Half of the patches quote what stands there.
    old = decoded[start : start + size] or old
    parameters = ApplyPatchParameters(path="f", old_string=old, new_string=new, replace_all=everywhere)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "f"
        file.write_bytes(content)
        error = trio.run(partial(_patched, Path(folder), parameters))
        after = file.read_bytes()
        assert os.listdir(folder) == ["f"]
    if error:
        assert after == content
    elif _is_plain(content) and "\r" not in old + new:
        assert after.decode() == decoded.replace(old, new)


@fuzzing()
@given(texts, st.lists(st.tuples(st.sampled_from([" ", "-", "+", "@@ ", "*** ", ""]), texts), max_size=8))
@example("a\r\nb", [("-", "b"), ("+", "c")])
def test_any_patch_is_applied_or_refused(content: str, lines: list[tuple[str, str]]) -> None:
    body = "\n".join(mark + line for mark, line in lines)
    try:
        sections = parse_patch(f"*** Begin Patch\n*** Update File: f\n{body}\n*** End Patch")
        hunks = [hunk for section in sections if isinstance(section, UpdateFile) for hunk in section.hunks]
        changed = patched(content, hunks, "f")
    except ToolError:
        return
    lines_before, lines_after = flat(content).split("\n"), flat(changed.text).split("\n")
    removed = [line for hunk in hunks for mark, line in hunk.lines if mark == "-"]
    added = [line for hunk in hunks for mark, line in hunk.lines if mark == "+"]
    assert abs(len(lines_after) - len(lines_before) - len(added) + len(removed)) <= 1
    assert not {*added} - {*lines_after, ""}


def _is_plain(content: bytes) -> bool:
    """UTF-8 without a mark, and no line ending but `\\n`: the file's bytes are its text."""
    text = content.decode("utf-8", "replace")
    return text.encode() == content and not text.startswith("\ufeff") and not {"\0", "\r"} & {*text}


async def _patched(root: Path, parameters: ApplyPatchParameters) -> str:
    """The error; empty when there was none."""
    with Workspace.open(root) as workspace:
        async with Processes() as processes:
            context = ToolContext(workspace=workspace, environment={}, processes=processes)
            try:
                await ApplyPatch().run(parameters, context)
            except ToolError as error:
                return str(error)
    return ""
