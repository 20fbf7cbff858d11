"""The list of models at `GET /models`: its names, whether a model is among them, and names near one that isn't."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, cast

from trioworker.orchestrator.backends.lenient_json import read_json

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_MODELS = 5_000
"""Names of a list that are read. Comparing one with another takes some 20 µs."""
MAX_NAME = 200
"""Characters of a name. Longer ones are ignored."""
SHOWN_MODELS = 5
"""Names that a message shows."""
NEAR_MODELS = 3
SIMILARITY = 0.6
"""The similarity, as difflib counts it, from which a name may be meant by another."""
DEFAULT_TAG = ":latest"
"""The tag that Ollama lists and people omit."""


def read_names(body: bytes) -> tuple[str, ...] | None:
    """The names in a list of models, without duplicates. None if the body isn't such a list.

    Most servers send `{"data": [{"id": NAME}, …]}`, some `{"models": […]}`, some only the list.
    """
    try:
        listed = read_json(body)
    except ValueError:
        return None
    if isinstance(listed, dict):
        fields = cast("dict[str, Any]", listed)
        listed = fields.get("data", fields.get("models"))
    if not isinstance(listed, list):
        return None
    names = (_name(entry) for entry in cast("list[Any]", listed)[:MAX_MODELS])
    return tuple(dict.fromkeys(name for name in names if name))


def is_listed(model: str, names: Sequence[str]) -> bool:
    """Whether the list contains the model, under any of the names that its server accepts for it."""
    wanted = _without_defaults(model)
    # LiteLLM lists `openai/*` if it forwards all models of a provider.
    return any(
        _without_defaults(name) == wanted or (name.endswith("*") and model.startswith(name[:-1])) for name in names
    )


def near_names(model: str, names: Sequence[str]) -> list[str]:
    """The names that may be meant by `model`: those that contain it, then similar ones; at most `NEAR_MODELS`."""
    wanted = model.casefold()
    folded = {name: name.casefold() for name in names}
    containing = [name for name, text in folded.items() if wanted in text]
    # A provider's prefix, as in `openai/gpt-4o`, must not outweigh the rest of a name.
    by_end: dict[str, list[str]] = {}
    for name, text in folded.items():
        by_end.setdefault(text.rpartition("/")[2], []).append(name)
    similar = difflib.get_close_matches(wanted.rpartition("/")[2], by_end, NEAR_MODELS, SIMILARITY)
    return list(dict.fromkeys([*sorted(containing, key=len), *(name for end in similar for name in by_end[end])]))[
        :NEAR_MODELS
    ]


def choice(names: Sequence[str]) -> str:
    """What to do if no model is named, and the server lists `names`, which isn't exactly one."""
    if not names:
        return "the model server lists no models; load one, or name one with --model NAME"
    return f"the model server lists {len(names)} models; choose one with --model NAME: {shown(names)}"


def shown(names: Sequence[str]) -> str:
    """The first names, for a message."""
    return ", ".join(names[:SHOWN_MODELS]) + (", …" if len(names) > SHOWN_MODELS else "")


def _name(entry: Any) -> str:
    if isinstance(entry, dict):
        fields = cast("dict[str, Any]", entry)
        entry = fields.get("id") or fields.get("name")
    return entry if isinstance(entry, str) and len(entry) <= MAX_NAME else ""


def _without_defaults(name: str) -> str:
    """The name without what servers add to it: Ollama's tag, and Gemini's prefix."""
    return name.removesuffix(DEFAULT_TAG).removeprefix("models/")
