"""Cassettes: a job's requests to the model, their replies and the tools' outputs, recorded and replayed offline.

The names below are the public ones. They are imported on first use: a worker that records doesn't need the player.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trioworker.cassette.format import Cassette, load_cassette
    from trioworker.cassette.player import DivergedError, Replay, replay
    from trioworker.cassette.recorder import open_recorder

_HOMES = {
    "Cassette": "format",
    "load_cassette": "format",
    "DivergedError": "player",
    "Replay": "player",
    "replay": "player",
    "open_recorder": "recorder",
}

__all__ = ["Cassette", "DivergedError", "Replay", "load_cassette", "open_recorder", "replay"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'trioworker.cassette' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"trioworker.cassette.{_HOMES[name]}"), name)
