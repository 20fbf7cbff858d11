"""What the pytest plugin refuses, in one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.pytest_sessions import PASSES, TRIO

if TYPE_CHECKING:
    from support.pytest_sessions import Run

pytest_plugins = ["pytester"]


@pytest.mark.parametrize(
    ("fixture", "reason"),
    [
        ("nursery", "is asynchronous, and would belong to only one of the runs: create it in the test"),
        ("value", "is asynchronous, and would belong to only one of the runs: create it in the test"),
        ("generated", "is asynchronous, and would belong to only one of the runs: create it in the test"),
        ("autojump_clock", "is a clock, but each run has its own virtual clock: remove the fixture"),
        ("mock_clock", "is a clock, but each run has its own virtual clock: remove the fixture"),
    ],
)
def test_fixture_of_one_run_is_refused(run: Run, fixture: str, reason: str) -> None:
    source = f"""
        import pytest
        import trio

        @pytest.fixture
        async def value():
            return 1

        @pytest.fixture
        async def generated():
            yield 1

        @pytest.fixture
        def indirect({fixture}):
            return {fixture}

        @pytest.mark.cancel_matrix
        async def test_fixture({fixture}):
            await trio.sleep(1)

        @pytest.mark.cancel_matrix
        async def test_indirect_fixture(indirect):
            await trio.sleep(1)
    """
    result = run(source, *TRIO)
    result.assert_outcomes(errors=2)
    assert result.stdout.str().count(f"\ncancel_matrix: the fixture '{fixture}' {reason}\n") == 2


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (
            "@pytest.mark.cancel_matrix\ndef test_it():\n    pass",
            "the test is not asynchronous: make it an `async def`",
        ),
        (
            "@pytest.mark.cancel_matrix(1)\nasync def test_it():\n    pass",
            "the marker takes keyword arguments only",
        ),
        (
            "@pytest.mark.cancel_matrix(invariants=1)\nasync def test_it():\n    pass",
            "the marker has no argument 'invariants': it takes invariant, *",
        ),
        (
            "@pytest.mark.cancel_matrix\n@given(integers())\nasync def test_it(number):\n    pass",
            "a test with Hypothesis's @given can't be run: use `seeds`, or pytest's parametrize",
        ),
        (
            "class TestIt(TestCase):\n    @pytest.mark.cancel_matrix\n    async def test_it(self):\n        pass",
            "a test of unittest can't be run: make it a function, or a method of another class",
        ),
    ],
    ids=["synchronous", "positional", "unknown", "hypothesis", "unittest"],
)
def test_unsupported_test_is_refused_in_one_line(run: Run, test: str, reason: str) -> None:
    imports = (
        "from unittest import IsolatedAsyncioTestCase as TestCase\n"
        "import pytest\nfrom hypothesis import given\nfrom hypothesis.strategies import integers\n"
    )
    result = run(imports + test, *TRIO)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["_* ERROR at setup of *", f"cancel_matrix: {reason}", "=*"], consecutive=True)


def test_test_without_a_checkpoint_fails(run: Run) -> None:
    result = run("import pytest\n\n@pytest.mark.cancel_matrix\nasync def test_it():\n    pass")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["_* test_it _*", "cancel_matrix: there is no checkpoint in the body*"], consecutive=True
    )


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--trio-chaos=37", "--trio-chaos: *37*"),
        ("--trio-chaos=", "--trio-chaos: *empty*"),
        ("--trio-chaos-seeds=-1", "--trio-chaos-seeds=-1: must not be negative"),
    ],
)
def test_unusable_option_is_a_usage_error_in_one_line(run: Run, option: str, message: str) -> None:
    result = run(PASSES, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}", ""], consecutive=True)


def test_plan_that_a_test_cannot_follow_is_a_failure_without_a_traceback(run: Run) -> None:
    result = run(PASSES, "--trio-chaos=cancel:99")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*cancel:99 was not reached*", "repeat: *", "_*"], consecutive=True)
