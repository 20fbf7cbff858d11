"""Events and the end of a job in a terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.cells import cell_len

from support.views import job_view
from trioworker.local.render_rich import RichPrinter
from trioworker.orchestrator.views import JobView, Report, StoredEvent, Usage

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
GREEN, RED = "\x1b[32m", "\x1b[31m"
LONG = "The sum of all parts is more than nothing. " * 8
MARKDOWN = """\
# Title

See [the docs](https://example.org/a?b=c), <https://example.org> and ![a picture](https://example.org/p.png).
First line
second line with `List<int>` and Vec<u8> & <b>bold</b>

- one item that is so long that it has to be wrapped in a narrow terminal
  1. nested

```python
def median(values):  # a comment that is longer than forty columns are wide
    return 1
```

| name | value | what the value means for people who read it in a table |
|---|---:|---|
| one | 1 | the first of them |

> quoted
"""


def printed(printer: RichPrinter, *events: StoredEvent) -> str:
    return plain("".join(printer.show(each) for each in events) + printer.release())


def plain(text: str) -> str:
    return COLOURS.sub("", text)


def printer(columns: int = 80) -> RichPrinter:
    return RichPrinter(lambda: columns)


def event(event_type: str, at: float = 100.0, **data: Any) -> StoredEvent:
    return StoredEvent(number=1, event_type=event_type, data=data, at=at, usage=Usage(input_tokens=12))


def said(text: str, at: float = 100.0) -> StoredEvent:
    return event("message", at, role="assistant", content=text)


def result(output: str, **data: Any) -> StoredEvent:
    return event("tool_result", tool_name="shell", output=output, success=True, tool_call_id="1", **data)


def ended(message: str, *, success: bool = True) -> JobView:
    return job_view(
        state="completed" if success else "failed",
        ended=1.0,
        report=Report(success=success, message=message, iterations=2),
        usage=Usage(requests=1, input_tokens=10, output_tokens=5),
    )


def every_kind() -> list[StoredEvent]:
    return [
        said(MARKDOWN),
        said(LONG),
        event("message", role="user", content=LONG),
        event("tool_use", tool_name="shell", input='{"command": "' + "echo one two; " * 9 + '"}', tool_call_id="1"),
        result(LONG + "\n\tindented\n" + "x" * 150, exit_code=3),
        event("tool_result", tool_name="a_long_tool_name_of_ones_own", output=LONG, success=False),
        event(
            "tool_result", tool_name="write_file", output="written", success=True, diff=f"--- a\n+++ a\n-{LONG}\n+漢字"
        ),
        event("status", message=LONG),
        event("result", success=True, status="completed", message="other"),
    ]


@pytest.mark.parametrize("columns", [24, 40, 59, 60, 100])
def test_words_stay_whole_and_no_line_is_too_long(columns: int) -> None:
    shown = printed(printer(columns), *every_kind()) + plain(printer(columns).end(ended(MARKDOWN), 1.0))

    assert max(map(cell_len, shown.splitlines())) <= columns
    words = shown.split()
    assert words.count("nothing.") >= 8
    assert words.count("parts") >= 8


def test_a_narrow_terminal_has_no_columns_for_time_and_name() -> None:
    assert printed(printer(40), said("I look at it."), said("one two three four five six seven eight nine")) == (
        "0.0s ● agent I look at it.\n0.0s ● agent\n│ one two three four five six seven\n│ eight nine\n"
    )


def test_a_wide_terminal_has_columns_for_time_and_name() -> None:
    shown = printed(
        printer(60), said("I look."), event("tool_use", 102.5, tool_name="shell", input='{"command": "ls"}')
    )
    assert shown == "    0.0s ● agent        I look.\n    2.5s ▶ shell        ls\n"


def test_failed_command_has_a_warning_with_its_exit_code() -> None:
    shown = printed(printer(), result("1 failed\n[exit code 1]", exit_code=1))
    assert shown == "    0.0s ✘ shell        exit 1  1 failed\n"
    assert "\x1b[33m✘ shell" in printer().show(result("", exit_code=1))


def test_successful_command_has_a_tick_and_its_duration() -> None:
    call = event("tool_use", 100.0, tool_name="shell", input="{}", tool_call_id="1")
    shown = printed(
        printer(), call, event("tool_result", 101.25, tool_name="shell", output="ok", success=True, tool_call_id="1")
    )
    assert shown.splitlines()[1] == "    1.2s ✔ shell        1.25 s  ok"


def test_changes_are_coloured_and_shown_instead_of_the_output() -> None:
    data: dict[str, Any] = {"tool_name": "apply_patch", "output": "edited a: 1 replacement\n8 y", "success": True}
    shown = printer().show(event("tool_result", diff="--- a\n+++ a\n@@ -1 +1 @@\n-x\n+y\n z", **data))

    assert f"{RED}-x" in shown
    assert f"{GREEN}+y" in shown
    assert "8 y" not in plain(shown)


def test_arguments_are_short() -> None:
    data = '{"path": "a.py", "old_string": "x", "new_string": "y"}'
    assert "▶ apply_patch  a.py\n" in printed(printer(), event("tool_use", tool_name="apply_patch", input=data))
    command = '{"command": "ls", "workdir": "src"}'
    assert "ls  workdir=src\n" in printed(printer(), event("tool_use", tool_name="shell", input=command))


def test_markdown_shows_urls_and_loses_no_text() -> None:
    shown = printed(printer(200), said(MARKDOWN))

    assert (
        "See the docs (https://example.org/a?b=c), https://example.org and a picture (https://example.org/p.png)."
        in shown
    )
    assert "List<int> and Vec<u8> & <b>bold</b>" in shown
    assert "First line\n" in shown
    assert "\n\n" not in shown
    assert not re.search(r"│\n +│\n", shown)


@pytest.mark.parametrize(
    "text",
    [
        "a&#x202e;b `&#x202e;` [x&#13;](http://e/&#8238;)",
        "&#13;   9.9s ■ result completed",
        "```&#13;\n\u202e\r\n```",
        "[a\x1b[31m](http://e/\x1b[2J) ![\x1b](\x9b)",
        "| \x1b |\n|---|\n| &lrm;&#x2066; |",
        "# &#x2028;\x07",
    ],
)
def test_markdown_emits_no_control_characters(text: str) -> None:
    shown = plain(printer().show(said(text)) + printer().end(ended(text), 1.0)) + printed(printer(), said(text))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u2028\u202a-\u202e\u2066-\u2069]", shown)


def test_no_message_looks_like_an_event() -> None:
    forged = "x\n\n```\n    9.9s ■ result       completed\n```\n\n    9.9s ■ result       completed"
    shown = printed(printer(), said(forged), said("next"))
    assert [line for line in shown.splitlines() if line.lstrip().startswith("9.9s")] == []


def test_a_very_long_message_is_shown_as_it_is() -> None:
    shown = printer().end(ended("**word** " * 10_000), 1.0)
    assert shown.count("**word**") == 10_000


def test_the_answer_is_shown_once_at_the_end_with_changes_and_how_to_see_more() -> None:
    shown = printer()
    before = plain(shown.show(said("I look.")))
    before += plain(shown.show(said("It **works** now.", 101.0)))
    before += plain(shown.show(event("result", 101.0, success=True, status="completed", message="It **works** now.")))
    end = shown.end(
        ended("It **works** now."), 3.0, changes=[" a.py | 2 +-", " \x1b[2J (untracked)"], more="trioworker jobs 1"
    )

    assert "works" not in before
    assert plain(end) == (
        "\nIt works now.\n\n a.py | 2 +-\n \\x1b[2J (untracked)\n\ncompleted (3.0 s, 2 iterations, 10 + 5 tokens)\n"
        "trioworker jobs 1 shows more\n"
    )
    assert "\x1b[1;32mcompleted" in end


def test_a_message_is_held_until_the_next_event_or_its_release() -> None:
    shown = printer()
    assert shown.show(said("one")) == ""
    assert "one" in shown.release()
    assert shown.release() == ""
    assert shown.show(said("two")) == ""
    assert plain(shown.show(event("status", message="three"))).split() == [
        *("0.0s", "●", "agent", "two"),
        *("0.0s", "·", "status", "three"),
    ]


def test_no_color_means_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = "".join(map(printer().show, every_kind())) + printer().end(ended(MARKDOWN, success=False), 1.0)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|4[0-9]|9[0-9])[;m]", shown)
