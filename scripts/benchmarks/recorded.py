"""The ratios that were recorded, and whether today's are still like them.

Ratios alone are compared, never times: machines differ, and what one of them does to both sides does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from benchmarks.figures import OURS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.figures import Figure

TOLERANCE = 2.0
"""Times a recorded ratio that is taken for a regression: beyond what a busy machine does to a median."""

Ratios = dict[str, float]
"""Ours, by figure."""


class CheckError(Exception):
    """The file of recorded ratios can't be used; the message says why."""


def recorded_ratios(path: Path, scale: str) -> Ratios:
    """What the file holds for this scale.

    Raises:
        CheckError: it is missing, is none of ours, or holds nothing of it.
    """
    known = _read(path).get(scale)
    if not known:
        raise CheckError(
            f"{path} holds no ratios of the scale {scale}; make them: scripts/bench --{scale} --record FILE"
        )
    return known


def regressions(known: Ratios, figures: Iterable[Figure]) -> dict[str, str]:
    """A line for each figure, by its key, whose ratio is worse than twice what was recorded.

    Figures that are not known pass, and so do known ones that were not asked for; one that was and could not be
    measured does not.
    """
    found: dict[str, str] = {}
    for figure in figures:
        before = known.get(figure.key)
        if before is None or figure.pauses:
            continue
        now = figure.ratio(OURS)
        if now is None:
            reason = figure.missing.get(OURS, "no reference")
            found[figure.key] = f"{figure.key}: recorded {before:.3f}, not measured: {reason}"
        elif _worse(figure, now, before):
            found[figure.key] = f"{figure.key}: ratio {now:.3f}, recorded {before:.3f}"
    return found


def record(path: Path, scale: str, figures: Iterable[Figure]) -> None:
    """Keep our ratios of this scale; what else the file holds stays.

    Raises:
        CheckError: the file is none of ours, or can't be written.
    """
    recorded = _read(path) if path.exists() else {}
    ratios = {figure.key: figure.ratio(OURS) for figure in figures if not figure.pauses}
    measured = {key: round(ratio, 4) for key, ratio in ratios.items() if ratio is not None}
    recorded[scale] = {**recorded.get(scale, {}), **measured}
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(recorded, order="sorted"), indent=2) + b"\n")
    except OSError as error:
        raise CheckError(f"{path}: {error.strerror}") from error


def _worse(figure: Figure, now: float, before: float) -> bool:
    return now < before / TOLERANCE if figure.more_is_better else now > before * TOLERANCE


def _read(path: Path) -> dict[str, Ratios]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Ratios])
    except OSError as error:
        raise CheckError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise CheckError(f"{path} holds no recorded ratios: {error}") from error
