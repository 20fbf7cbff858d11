"""Finds the lines of a script's values in the tree that the YAML parser composed."""

from __future__ import annotations

from typing import NamedTuple

import yaml

Steps = tuple[object, ...]
"""The way to a value: keys of mappings, and indexes of lists from 0."""


class RepeatedKey(NamedTuple):
    """A key that a mapping has twice, and the line of the second."""

    key: str
    line: int


def line_of(node: yaml.Node | None, where: Steps) -> int:
    """The line, from 1, of the deepest part of `where` that exists. 1 without a tree."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in where:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            items: list[yaml.Node] = node.value
            node = items[step]
            line = node.start_mark.line + 1
        elif isinstance(node, yaml.MappingNode):
            found = [pair for pair in _pairs(node) if pair[0].value == str(step)]
            if not found:
                break
            line, node = found[0][0].start_mark.line + 1, found[0][1]
        else:
            break
    return line


def repeated_key(root: yaml.Node | None) -> RepeatedKey | None:
    """The first key that a mapping has twice. The parsers would drop the first value without a word."""
    waiting = [] if root is None else [root]
    seen: set[int] = set()
    repeated: list[RepeatedKey] = []
    while waiting:
        node = waiting.pop()
        # An alias is the node of its anchor, which may contain it.
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            pairs = _pairs(node)
            repeated += _repeated(pairs)
            waiting += [value for _, value in pairs]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return min(repeated, key=lambda found: found.line, default=None)


def _repeated(pairs: list[tuple[yaml.Node, yaml.Node]]) -> list[RepeatedKey]:
    keys: set[str] = set()
    found: list[RepeatedKey] = []
    for key, _ in pairs:
        if not isinstance(key, yaml.ScalarNode):
            continue
        name: str = key.value
        if name in keys:
            found.append(RepeatedKey(name, key.start_mark.line + 1))
        keys.add(name)
    return found


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    return node.value
