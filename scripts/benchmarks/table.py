"""What a person sees: a table of the figures, one block a measure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.figures import OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.figures import Figure

HEADINGS = ("", "median", "min", "max", "ratio", "")
WIDTHS = (13, 12, 12, 12, 20, 30)


def lines(figure: Figure) -> Iterator[str]:
    """A figure: its name, and a line for each that was measured."""
    yield f"{figure.measure}: {figure.name} [{figure.unit}]{_promise(figure)}"
    for subject in figure.subjects:
        yield f"  {subject:<{WIDTHS[0]}}" + _row(figure, subject)


def heading() -> str:
    """The line above all."""
    return "  " + "".join(
        f"{text:<{width}}" if not number else f"{text:>{width}}"
        for number, (text, width) in enumerate(zip(HEADINGS, WIDTHS, strict=True))
    )


def _row(figure: Figure, subject: str) -> str:
    if subject in figure.missing:
        return f"not measured: {figure.missing[subject]}"
    values = figure.runs[subject]
    numbers = (figure.median(subject) or 0.0, min(values), max(values))
    row = "".join(f"{_number(value):>{width}}" for value, width in zip(numbers, WIDTHS[1:], strict=False))
    ratio = figure.ratio(subject) if figure.against and subject != figure.against else None
    told = f"{ratio:.3f} of {figure.against}" if ratio is not None else ""
    return (row + f"{told:>{WIDTHS[4]}}  {figure.interpretation(subject)}").rstrip()


def _promise(figure: Figure) -> str:
    sign = "at least" if figure.more_is_better else "at most"
    promised = [
        f"{sign} {_number(limit)}{unit}"
        for limit, unit in (
            (figure.target_value, f" {figure.unit}"),
            (figure.target, f" of {figure.against}" if figure.against else ""),
        )
        if limit is not None
    ]
    return f", {OURS} {' and '.join(promised)}" if promised else ""


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
