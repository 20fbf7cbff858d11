"""Strategies for input from outside: JSON of any shape, nearly valid replies, texts full of markup."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
"""Including lone surrogates, which file names and other programs contain."""

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)

NESTED = st.integers(0, 1500).map(lambda depth: b"[" * depth + b"]" * depth)
"""Deeply nested JSON, up to and beyond the thousand levels of Python's recursion limit."""

FRAGMENTS = [
    *(f"<{slash}{tag}{end}" for slash in ("", "/", "|", "|/") for tag in ("thinking", "tool_call", "tool_calls",
      "function_call", "think", "invoke name=shell", "function=shell", "parameter=a")
      for end in (">", "|>", " a='b'>")),
    "</function>", "</invoke>", "</parameter>", "<arg_key>a</arg_key>", "<arg_value>", "</arg_value>", "[TOOL_CALLS]",
    "<|python_tag|>", "<|channel|>analysis<|message|>", "<|channel|>final<|message|>", "to=functions.shell", "<|end|>",
    *(f"<\uff5ctool\u2581{name}\uff5c>" for name in ("calls\u2581begin", "call\u2581begin", "sep", "call\u2581end",
      "calls\u2581end")),
    "[ARGS]",
    '{"name": "shell", "arguments": {"command": "ls"}}', '{"name": "read_file"}', '{"name": 3}', "shell", "{", "}",
    "```", "~~~", "```\n", "`", "``", "> ", "- ", "1. ", "\\`", "\n", "\n\n\n", "  ", "\t", "\r\n", "<", ">", "|",
    "The job is complete.", "not yet done", "I will now run the tests", "Let me use shell:", "'", '"', ".",
    "?", "\u2019",
]  # fmt: skip
MARKUP = st.lists(st.sampled_from(FRAGMENTS) | ANY_TEXT, max_size=30).map("".join)


def encoded(value: Any) -> bytes:
    """The value as JSON."""
    return msgspec.json.encode(value)


def call_objects() -> st.SearchStrategy[dict[str, Any]]:
    """A nearly valid call of a reply."""
    name = st.sampled_from(["probe", "look", "nothing", ""]) | st.text(max_size=300)
    fields = {"id": st.sampled_from(["a", "b", ""]) | st.text(max_size=300), "name": name, "arguments": JSON}
    more = {"reasoning": JSON, "signature": JSON, "arguments_parse_error": st.none() | st.text(max_size=20)}
    return st.fixed_dictionaries(fields, optional={**more, "other": JSON})


def reply_objects() -> st.SearchStrategy[dict[str, Any]]:
    """A nearly valid reply of the model."""
    reasons = st.sampled_from(["stop", "length", "tool_use", "tool_calls", "content_filter", "?"])
    fields: dict[str, st.SearchStrategy[Any]] = {
        "content": st.none() | MARKUP.map(_valid),
        "tool_calls": st.none() | st.lists(call_objects(), max_size=70),
        "input_tokens": st.none() | st.integers(0, 10**6) | st.integers(),
        "output_tokens": st.none() | st.integers(),
        "finish_reason": st.none() | reasons,
        "reasoning": JSON,
        "reasoning_details": JSON,
    }
    return st.fixed_dictionaries({}, optional=fields)


def bodies() -> st.SearchStrategy[bytes]:
    """The body of a response: noise, JSON of any shape, replies, and replies with some bytes changed or cut off."""
    replies = reply_objects().map(encoded)
    return st.binary(max_size=200) | JSON.map(encoded) | replies | st.builds(_damaged, replies, st.binary(max_size=4),
                                                                           st.integers(0, 10_000)) | NESTED  # fmt: skip


def _damaged(body: bytes, splice: bytes, at: int) -> bytes:
    at %= len(body) + 1
    return body[:at] + splice + body[at + len(splice) :] if splice else body[:at]


def _valid(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
