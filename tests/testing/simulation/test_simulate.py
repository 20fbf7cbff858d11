"""Simulated runs of a job with its own tools."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest

from chaos.reference import reference_job
from support.weather import ANSWER, Measure, NoParameters, weather_job
from trioworker import BUILTIN_TOOLS, ConfigError
from trioworker.testing import (
    DONE,
    Fault,
    Kill,
    Outage,
    Plan,
    Signal,
    SimulatedJob,
    assert_invariants,
    call,
    random_plans,
    simulate,
)

if TYPE_CHECKING:
    from trioworker import ToolContext


def test_job_without_faults_ends_with_its_answer() -> None:
    run = simulate(weather_job)
    assert_invariants(run)
    assert run.outcome is not None
    assert run.outcome.message == ANSWER
    assert run.orchestrator.reports[0]["success"]
    assert [str(tool_run) for tool_run in run.tool_runs] == ["measure()"]
    assert run.tool_runs[0].ended == pytest.approx(run.tool_runs[0].started + 1)


def test_killed_process_is_restarted_with_the_same_tools() -> None:
    run = simulate(weather_job, [Fault.cut(request=5), Outage(2, 60), Kill(write=20), Signal(90.0)], seed=7)
    assert_invariants(run)
    assert run.starts == 2
    assert run.ended_at > 62


def test_job_that_is_killed_while_a_tool_runs_starts_no_call_twice() -> None:
    runs = [simulate(weather_job, [Kill(write)]) for write in range(40)]
    for run in runs:
        assert_invariants(run)
    assert {len(run.tool_runs) for run in runs} == {1, 2}, "an interrupted call is asked for once more"


def test_same_plan_makes_the_same_requests() -> None:
    plan = random_plans(reference_job, [11])[0]
    first, second = (
        [(exchange.at, exchange.path, exchange.content, exchange.status) for exchange in run.orchestrator.exchanges]
        for run in (simulate(reference_job, plan), simulate(reference_job, str(plan)))
    )
    assert first == second


def test_virtual_time_waits_for_the_threads_that_work_on_a_long_output() -> None:
    class Printing(Measure):
        def __init__(self, lines: int) -> None:
            self._lines = lines

        async def run(self, parameters: NoParameters, context: ToolContext) -> object:
            await super().run(parameters, context)
            return "a line of output\n" * self._lines

    def seconds(lines: int) -> float:
        script = [call("measure"), call("measure"), call("measure"), DONE]
        return simulate(lambda: SimulatedJob(script, tools=[Printing(lines)])).ended_at

    assert seconds(lines=20_000) == pytest.approx(seconds(lines=1))


def test_seed_overrides_the_seed_of_the_plan() -> None:
    assert simulate(weather_job, Plan(3), seed=4).plan == Plan(4)
    assert simulate(weather_job, "3 cut:2").plan == Plan(3, (Fault.cut(request=2),))


def test_configuration_is_used() -> None:
    run = simulate(lambda: weather_job(config={"timeout": 2.5}))
    assert run.config.timeout == 2.5
    assert run.orchestrator.reports[0]["message"].startswith("Execution timed out")


def test_unusable_configuration_is_refused() -> None:
    with pytest.raises(ConfigError, match="max_iterations"):
        simulate(lambda: weather_job(config={"max_iterations": 0}))


def test_follow_ups_join_the_conversation() -> None:
    run = simulate(lambda: weather_job(follow_ups={0.2: "In Celsius, please."}))
    assert_invariants(run)
    assert run.orchestrator.conversations()[-1][1]["content"].endswith("In Celsius, please.") or (
        {"role": "user", "content": "In Celsius, please."} in run.orchestrator.conversations()[-1]
    )


@pytest.mark.parametrize("job", [weather_job(), lambda: None, SimulatedJob])
def test_what_is_not_a_function_that_returns_a_job_is_refused(job: object) -> None:
    with pytest.raises(TypeError):
        simulate(job)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType] - the defect


def test_builtin_tool_is_refused_because_it_is_not_simulated() -> None:
    with pytest.raises(ConfigError, match="the tool shell uses real files or processes"):
        simulate(lambda: SimulatedJob([], tools=BUILTIN_TOOLS))


def test_class_instead_of_a_tool_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"pass an instance: Measure\(\)"):
        simulate(lambda: SimulatedJob([], tools=[Measure]))  # type: ignore[list-item] # pyright: ignore - the defect


def test_error_about_a_tool_names_its_class() -> None:
    class Nameless(Measure):
        name: ClassVar[str] = ""

    with pytest.raises(ConfigError, match="Nameless: the name '' is not"):
        simulate(lambda: weather_job(Nameless()))


async def test_simulation_inside_trio_is_refused() -> None:
    with pytest.raises(RuntimeError, match="call it from a synchronous test"):
        simulate(weather_job)
