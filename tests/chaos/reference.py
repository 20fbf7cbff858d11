"""The reference job: reading and writing tools, text turns, a failure, a slow call, a follow-up."""

from __future__ import annotations

from support.world import calling, saying

FOLLOW_UP = "Keep the tabs, too."
FOLLOW_UP_AT = 4.0
"""Seconds after the start."""

TURNS = (
    calling(("probe", {"text": "a", "seconds": 1.5}), content="I start with a."),
    calling(("look", {"text": "b", "seconds": 1.0}), ("look", {"text": "c", "seconds": 0.5}), ("probe", {"text": "d"})),
    saying("Half of it is there."),
    calling(("probe", {"text": "e", "error": "e can't be had"})),
    calling(("probe", {"text": "f", "seconds": 3.0}), ("nothing", {"text": "g"})),
    calling(("probe", {"text": "h"}), ("look", {"text": "i"})),
    calling(("look", {"text": "j", "seconds": 0.2}), ("look", {"text": "k"}), ("look", {"text": "l", "seconds": 0.1})),
    calling(("probe", {"text": "m"}), content="On with m."),
    calling(("probe", {"text": "n", "seconds": "0.5"})),
    saying("Nearly there."),
    calling(("probe", {"text": "o", "seconds": "often"})),
    calling(("probe", {"text": "p"}), ("probe", {"text": "q"}), ("probe", {"text": "r"})),
    calling(
        ("look", {"text": "s"}), ("probe", {"text": "t", "seconds": 0.2}), ("look", {"text": "u"}), content="Check."
    ),
    calling(("probe", {"text": "v", "seconds": 0.2}), ("probe", {"text": "w"})),
    calling(("probe", {"text": "last", "seconds": 0.3})),
    saying("The job is complete."),
)
"""One turn of each kind: calls with text, concurrent calls, only text, a failure, a slow call, an unknown tool,
arguments to coerce, invalid arguments, and a closing text that leaves the report to the last output.
"""
ANSWER = '{\n  "did": "last"\n}'
CALLS = {*"abcdefhijklmnpqrstuvw", "last"}
"""The calls that run, each once unless it is interrupted."""
