from __future__ import annotations

import pytest
import trio

from support.library_scenarios import Defect, Scenario, verify


class Leak(Scenario):
    library = "trio"

    async def body(self) -> None:
        self.held = True
        await trio.sleep(1)
        self.held = False

    async def check(self) -> None:
        assert not self.held, "still held"


def test_unknown_failure_is_reported() -> None:
    with pytest.raises(AssertionError, match="still held"):
        verify(Leak())


def test_known_failure_is_expected() -> None:
    leak = Leak()
    leak.defect = Defect("still held", "no finally")
    verify(leak)


def test_failure_in_addition_to_the_known_one_is_reported() -> None:
    leak = Leak()
    leak.defect = Defect("something else", "no finally")
    with pytest.raises(AssertionError, match="still held"):
        verify(leak)


def test_fixed_defect_is_reported() -> None:
    class Repaired(Leak):
        defect = Defect("still held", "no finally")

        async def body(self) -> None:
            self.held = False
            await trio.sleep(1)

    with pytest.raises(AssertionError, match=r"repaired: trio .* remove the defect"):
        verify(Repaired())
