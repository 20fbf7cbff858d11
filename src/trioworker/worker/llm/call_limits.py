"""Limits for the calls of one reply: their number, the length of names and ids, the nesting of arguments.

A reply may contain anything, but what is added to the conversation must fit into every later request and must always
be encodable. What exceeds a limit is cut here, and the call is answered with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

from trioworker.protocol.limits import MAX_CALLS, MAX_DEPTH, MAX_ID_BYTES, MAX_NAME_BYTES
from trioworker.protocol.text import truncate

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from trioworker.protocol.wire import ToolCall


def clamp_calls(calls: Iterable[ToolCall], taken: Container[str]) -> tuple[ToolCall, ...]:
    """The first `MAX_CALLS` calls, cut to the limits, with ids that are unique and not in `taken`.

    A call that can't be run as the model meant it has the reason in `arguments_parse_error`.
    """
    calls = tuple(calls)
    seen: set[str] = set()
    clamped: list[ToolCall] = []
    for call in calls[:MAX_CALLS]:
        call_id = _unique(call.id if len(call.id.encode()) <= MAX_ID_BYTES else "", seen, taken)
        seen.add(call_id)
        clamped.append(_limited(call, call_id))
    if len(calls) > MAX_CALLS:
        clamped[-1] = _refused(
            clamped[-1],
            f"{len(calls)} calls in one reply, at most {MAX_CALLS} are taken; this one and those after it were left "
            "out, ask for them again in several replies",
        )
    return tuple(clamped)


def _unique(call_id: str, seen: Container[str], taken: Container[str]) -> str:
    unique, number = call_id, 0
    while not unique or unique in seen or unique in taken:
        unique = f"{call_id or 'call'}_{number}"
        number += 1
    return unique


def _limited(call: ToolCall, call_id: str) -> ToolCall:
    name = truncate(call.name, MAX_NAME_BYTES)
    if call_id != call.id or name != call.name:
        call = msgspec.structs.replace(call, id=call_id, name=name)
    if _is_deeper_than(call.arguments, MAX_DEPTH):
        call = _refused(
            msgspec.structs.replace(call, arguments={}), f"lists and objects are nested over {MAX_DEPTH} levels deep"
        )
    return call


def _refused(call: ToolCall, reason: str) -> ToolCall:
    return msgspec.structs.replace(call, arguments_parse_error=reason)


def _is_deeper_than(value: Any, depth: int) -> bool:
    """Descend level by level: recursion could exhaust the stack, which is what the limit prevents."""
    level: list[Any] = [value]
    for _ in range(depth + 1):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> Iterable[Any]:
    if isinstance(node, dict):
        return cast("dict[str, Any]", node).values()
    return cast("list[Any]", node) if isinstance(node, list) else ()
