"""A small simulated job that measures the temperature. Its only defects are those of the tools that a test adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import trio

from trioworker import Parameters, Tool
from trioworker.testing import Outage, SimulatedJob, call, say

if TYPE_CHECKING:
    from trioworker import ToolContext
    from trioworker.testing import SimulatedRun

ANSWER = "It is 21 °C. The job is complete."


class NoParameters(Parameters, frozen=True):
    pass


class Measure(Tool[NoParameters]):
    name: ClassVar[str] = "measure"
    description: ClassVar[str] = "Measure the temperature."
    parameters: ClassVar[type[Parameters]] = NoParameters

    async def run(self, parameters: NoParameters, context: ToolContext) -> object:
        await trio.sleep(1)
        return {"celsius": 21}


def weather_job(tool: Tool[Any] | None = None, **more: Any) -> SimulatedJob:
    script = [call("measure"), say(ANSWER, expect='"celsius": 21')]
    return SimulatedJob(script, tools=[tool or Measure()], answer=ANSWER, **more)


def broken_job() -> SimulatedJob:
    """A job that needs a temperature that its tool never measures."""
    return SimulatedJob([call("measure"), say(ANSWER, expect='"celsius": 20')], tools=[Measure()])


def job_in_need_of_its_network() -> SimulatedJob:
    """A job with an invariant that outages break."""

    def no_outage(run: SimulatedRun) -> None:
        assert not run.plan.of(Outage), "the network failed"

    return weather_job(invariant=no_outage)


def crashing_job() -> SimulatedJob:
    """A job whose check crashes."""

    def crash(run: SimulatedRun) -> None:
        raise ZeroDivisionError("the check is wrong")

    return weather_job(invariant=crash)
