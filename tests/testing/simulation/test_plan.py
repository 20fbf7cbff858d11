"""The text of plans."""

from __future__ import annotations

import pytest

from trioworker.testing import (
    Cancel,
    ClockJump,
    Fault,
    Freeze,
    Kill,
    Outage,
    Plan,
    Signal,
    SlowNames,
    Supersede,
)

PLANS = {
    "12": Plan(12),
    "0 cancel:reasoner:3": Plan(0, (Cancel("reasoner", 3),)),
    "0 cut:4": Plan(0, (Fault.cut(request=4),)),
    "0 reset-after:llm@2": Plan(0, (Fault.reset_after(path="llm", request=2),)),
    "0 refused:event": Plan(0, (Fault.refused(path="event"),)),
    "0 garbage:*": Plan(0, (Fault.garbage(),)),
    "0 status:4:502 delay:5:0.5": Plan(0, (Fault.status(502, request=4), Fault.delay(0.5, request=5))),
    "0 outage:5:60 names:1.5:30.0": Plan(0, (Outage(5, 60), SlowNames(1.5, 30.0))),
    "1 kill:6:99:1 kill:7:100:0": Plan(1, (Kill(6, 99, power=True), Kill(7))),
    "1 signal:9.0 freeze:9.0:20.0": Plan(1, (Signal(9.0), Freeze(9.0, 20.0))),
    "1 clock:5.0:-3600.0 supersede:7.9": Plan(1, (ClockJump(5.0, -3600.0), Supersede(7.9))),
}


@pytest.mark.parametrize("text", PLANS)
def test_plan_is_formatted_and_parsed(text: str) -> None:
    assert str(PLANS[text]) == text
    assert Plan.parse(text) == PLANS[text]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "starts with its seed"),
        ("cut:12", "starts with its seed"),
        ("1 cat:12", "'cat:12' is not a fault"),
        ("1 kill:12", "'kill:12' is not a fault"),
        ("1 cut:12:503", "'cut:12:503' is not a fault"),
        ("1 status:12", "'status:12' is not a fault"),
        ("1 signal:soon", "'signal:soon' is not a fault"),
        ("1 cancel:thinker:3", "no actor is named 'thinker'; the actors are"),
    ],
)
def test_text_that_is_not_a_plan_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        Plan.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", [Fault.status(429, headers={"retry-after": "9"}), Fault.status(400, body="no")])
def test_fault_that_the_text_cannot_hold_is_refused(fault: Fault) -> None:
    with pytest.raises(ValueError, match="headers or a body"):
        Plan(0, (fault,))
