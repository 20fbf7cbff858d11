"""Output above the live line and the input line, as a terminal shows it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from support.terminal_screen import TerminalScreen
from trioworker.local.terminal.screen import Bottom, Screen


class FakeTerminal:
    """A terminal whose width may change, and that may be stopped, as by Ctrl-S."""

    def __init__(self, columns: int = 20, lines: int = 6) -> None:
        self.columns = columns
        self.stopped = False
        self.written: list[str] = []
        self.shown = TerminalScreen(columns, lines)
        self.screen = Screen(self, lambda: self.columns)

    def write(self, text: str, /) -> None:
        self.written.append(text)
        self.shown.write(text.encode())

    def drain(self, timeout: float | None = None) -> bool:
        return not self.stopped


def test_output_is_printed_above_the_bottom_lines() -> None:
    terminal = FakeTerminal()
    terminal.screen.print("one\n")
    terminal.screen.draw(Bottom("waiting", "> ", "hello", 3))
    terminal.screen.print("two\nthree\n")

    assert terminal.shown.rows() == ["one", "two", "three", "waiting", "> hello"]
    assert terminal.shown.cursor == 5


def test_bottom_lines_stay_at_the_bottom_when_the_terminal_scrolls() -> None:
    terminal = FakeTerminal(lines=4)
    terminal.screen.draw(Bottom("waiting", "> ", "", 0))
    for number in range(10):
        terminal.screen.print(f"line {number}\n")

    assert terminal.shown.rows() == [*(f"line {number}" for number in range(10)), "waiting", ">"]


def test_nothing_is_written_if_nothing_changes() -> None:
    terminal = FakeTerminal()
    terminal.screen.draw(Bottom("waiting 1 s"))
    terminal.screen.draw(Bottom("waiting 1 s"))
    assert len(terminal.written) == 1
    terminal.screen.draw(Bottom("waiting 1 s"), anew=True)
    assert len(terminal.written) == 2
    assert terminal.shown.rows() == ["waiting 1 s"]


def test_a_line_is_never_longer_than_the_terminal_is_wide() -> None:
    terminal = FakeTerminal(columns=10)
    terminal.screen.draw(Bottom("漢字漢字漢字", "> ", "0123456789", 10))

    assert terminal.shown.rows() == ["漢字漢字…", "> 012345…"]


def test_erasing_leaves_only_the_output() -> None:
    terminal = FakeTerminal()
    terminal.screen.print("one\n")
    terminal.screen.draw(Bottom("waiting", "> ", "text", 4))
    terminal.screen.erase()
    terminal.screen.print("two\n")

    assert terminal.shown.rows() == ["one", "two"]


def test_lines_that_a_narrower_terminal_has_wrapped_are_erased() -> None:
    terminal = FakeTerminal(columns=20)
    terminal.screen.draw(Bottom("waiting for a model", "> ", "hello", 5))
    terminal.columns = 8
    terminal.screen.draw(Bottom("waiting for a model", "> ", "hello", 5))

    # The live line of 19 columns has three rows now.
    assert terminal.written[-1].startswith("\r\x1b[3A\x1b[J\x1b[2mwaitin…")


def test_other_output_after_the_bottom_lines_is_kept() -> None:
    terminal = FakeTerminal()
    terminal.screen.draw(Bottom("waiting"))
    terminal.write("\nshell$ fg\n")
    terminal.screen.forget()
    terminal.screen.draw(Bottom("waiting"))

    assert terminal.shown.rows() == ["waiting", "shell$ fg", "waiting"]


def test_nothing_is_drawn_while_the_terminal_is_stopped() -> None:
    terminal = FakeTerminal()
    terminal.screen.draw(Bottom("waiting 1 s"))
    terminal.stopped = True
    for seconds in range(2, 100):
        terminal.screen.draw(Bottom(f"waiting {seconds} s"))
    assert len(terminal.written) == 1
    terminal.stopped = False
    terminal.screen.draw(Bottom("waiting 100 s"))
    assert terminal.shown.rows() == ["waiting 100 s"]


TEXTS = st.text(st.sampled_from("ab 漢"), max_size=30)
BOTTOMS = st.builds(Bottom, TEXTS, st.just("> "), st.none() | TEXTS, st.integers(0, 30))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text("xyz", min_size=1, max_size=19) | BOTTOMS, max_size=30))
def test_the_screen_shows_all_output_and_the_last_bottom_lines(steps: list[str | Bottom]) -> None:
    terminal = FakeTerminal(columns=20, lines=5)
    output: list[str] = []
    bottom = Bottom()
    for step in steps:
        if isinstance(step, str):
            output.append(step)
            terminal.screen.print(f"{step}\n")
        else:
            bottom = step
            terminal.screen.draw(step)
        rows = terminal.shown.rows()
        assert rows[: len(output)] == output
        assert [row for row in rows[len(output) :] if row] == [
            line.rstrip() for line in bottom.lines(19) if line.strip()
        ]
    terminal.screen.erase()
    assert terminal.shown.rows() == output
