"""Writes objects as YAML that every parser reads in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

AMBIGUOUS = ("y", "Y", "n", "N")
"""Texts that only some parsers read as booleans. Similarly, some read texts such as 1e3 as numbers."""


class _Dumper(yaml.SafeDumper):
    """Writes everything in full, without aliases."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML passes it
        return True


def _text(_: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if text[:1] in tuple("0123456789+-.") or text in AMBIGUOUS else None
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(objects: Sequence[object]) -> str:
    """Return the objects as documents of one stream."""
    # The type stubs leave parts of this function's types unknown.
    untyped: Any = yaml
    return untyped.dump_all(objects, Dumper=_Dumper, explicit_start=True, sort_keys=False, width=120)
