"""Which tests the pytest plugin runs, alongside which plugins, and the outcome of the item."""

from __future__ import annotations

import inspect
import re
import shlex
from typing import TYPE_CHECKING

import pytest

from support.pytest_sessions import LEAK, PASSES, PLUGIN, TRIO, failed
from trioworker.testing import cancel_matrix
from trioworker.testing.pytest_plugin import ARGUMENTS

if TYPE_CHECKING:
    from support.pytest_sessions import Run

pytest_plugins = ["pytester"]


def test_checkpoint_that_leaks_is_a_failing_subtest_with_task_line_and_plan(run: Run) -> None:
    result = run(LEAK, "-rA")
    result.assert_outcomes(failed=2)
    (headline,) = failed(result)
    assert re.fullmatch(r"cancel:\d+, test_it\.py:10, task .+", headline)
    result.stdout.fnmatch_lines(["cancel_matrix: failures: 1 (1 shown), checkpoints: 2"])


def test_fixed_program_passes(run: Run) -> None:
    result = run(LEAK.replace("await trio.sleep(1)  # a cancel here loses the connection", "pass"))
    result.assert_outcomes(passed=1)


def test_other_plan_passes(run: Run) -> None:
    (number,) = re.findall(r"--trio-chaos='cancel:(\d+)'", run(LEAK).stdout.str())
    run(LEAK, f"--trio-chaos=cancel:{1 - int(number)}").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    "plugins",
    [
        (),
        ("-p", "pytest_trio.plugin"),
        TRIO,
        ("-p", "anyio.pytest_plugin", "--anyio-mode=auto"),
        ("-p", "pytest_trio.plugin", "-p", "anyio.pytest_plugin"),
    ],
    ids=["none", "pytest-trio", "trio_mode", "anyio", "pytest-trio and anyio"],
)
def test_plugin_runs_the_test_alongside_other_plugins(run: Run, plugins: tuple[str, ...]) -> None:
    assert len(set(failed(run(LEAK, *plugins)))) == 1
    result = run(PASSES, *plugins)
    assert result.parseoutcomes().keys() == {"passed"}


@pytest.mark.parametrize("mark", ["trio", "anyio"])
def test_marker_of_another_plugin_is_ignored(run: Run, mark: str) -> None:
    source = f"{PASSES}\n    pytestmark = pytest.mark.{mark}"
    result = run(source, "-p", "pytest_trio.plugin", "-p", "anyio.pytest_plugin")
    assert result.parseoutcomes().keys() == {"passed"}


def test_unmarked_tests_run_as_before(run: Run) -> None:
    result = run("import trio\n\nasync def test_sleep(autojump_clock):\n    await trio.sleep(9)", *TRIO)
    result.assert_outcomes(passed=1)


def test_methods_and_parametrized_tests_run(run: Run, pytester: pytest.Pytester) -> None:
    source = """
        import pytest
        import trio

        @pytest.mark.cancel_matrix
        class TestSleep:
            seconds = 1

            @pytest.mark.parametrize("word", ["a word", "it's"])
            async def test_sleep(self, word):
                assert word != "it's"
                await trio.sleep(self.seconds)
    """
    result = run(source)
    result.assert_outcomes(passed=1, failed=2)
    (command,) = re.findall("^repeat: pytest (.+)$", result.stdout.str(), re.MULTILINE)
    assert shlex.split(command)[0] == "test_it.py::TestSleep::test_sleep[it's]"
    pytester.runpytest_inprocess(*shlex.split(command)).assert_outcomes(failed=2)


def test_fixtures_are_set_up_once_and_reach_the_invariant(run: Run) -> None:
    source = """
        import pytest
        import trio

        @pytest.fixture
        def runs(capsys):
            runs = []
            yield runs
            with capsys.disabled():
                print("runs:", len(runs))

        @pytest.fixture
        def other():
            return "other"

        def check(runs, other, default=1):
            assert runs[-1] == other + str(default)

        @pytest.mark.cancel_matrix(invariant=check)
        async def test_sleep(runs):
            runs.append("other1")
            await trio.sleep(1)
            await trio.sleep(1)
    """
    result = run(source, *TRIO)
    result.assert_outcomes(passed=1)
    (runs,) = re.findall(r"runs: (\d+)", result.stdout.str())
    assert int(runs) >= 3


@pytest.mark.parametrize("where", ["child()", "trio.sleep(0)"])
@pytest.mark.parametrize(("call", "outcome"), [("skip", "skipped"), ("xfail", "xfailed")])
def test_skip_in_the_test_skips_the_item(run: Run, where: str, call: str, outcome: str) -> None:
    source = f"""
        import pytest
        import trio

        async def child():
            pytest.{call}("not here")

        @pytest.mark.cancel_matrix
        async def test_it():
            await {where}
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
                await trio.sleep(1)
    """
    assert run(source).parseoutcomes() == {outcome: 1}


def test_marks_of_pytest_apply_to_the_item(run: Run) -> None:
    source = f"""{LEAK}
    @pytest.mark.skip
    @pytest.mark.cancel_matrix
    def test_skipped():
        pass

    test_expected = pytest.mark.xfail(strict=True)(test_pool)
    del test_pool
    """
    assert run(source).parseoutcomes() == {"skipped": 1, "xfailed": 1}


def test_session_stops_at_the_first_failing_run(run: Run) -> None:
    source = LEAK.replace("await trio.sleep(1)  # a", "await trio.sleep(1); await trio.sleep(1)  # a")
    source += "\n    def test_later():\n        pass\n"
    result = run(source, "-x")
    assert len(failed(result)) == 1
    assert result.stdout.str().count("\nrepeat:") == 1
    assert "passed" not in result.parseoutcomes()
    result = run(source, "--maxfail=2")
    assert len(failed(result)) == 2


def test_selection_and_collection_see_one_item(run: Run) -> None:
    assert run(LEAK, "-k", "other").parseoutcomes() == {"deselected": 1}
    result = run(LEAK, "--collect-only", "-q")
    result.stdout.fnmatch_lines(["test_it.py::test_pool", "", "1 test collected*"])


def test_marker_is_described(run: Run) -> None:
    run(PASSES, "--markers").stdout.fnmatch_lines(["@pytest.mark.cancel_matrix(invariant, *): run the asynchronous *"])


def test_marker_takes_the_arguments_of_the_function() -> None:
    given = {"body", "only", "repeat"}
    assert set(ARGUMENTS) == inspect.signature(cancel_matrix).parameters.keys() - given


def test_plugin_is_loaded_by_its_entry_point_and_imports_no_trio(pytester: pytest.Pytester) -> None:
    source = "import sys\n\ndef test_it(pytestconfig):\n    assert pytestconfig.getoption('trio_chaos') is None\n"
    pytester.makepyfile(f"{source}    assert 'trio' not in sys.modules")
    no_others = [word for name in ("trio", "anyio", "hypothesispytest") for word in ("-p", f"no:{name}")]
    pytester.runpytest_subprocess("--strict-markers", *no_others).assert_outcomes(passed=1)


def test_plugin_may_be_named_although_its_entry_point_loads_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(f"{PASSES}\n    pytest_plugins = [{PLUGIN!r}]")
    pytester.makeconftest(f"pytest_plugins = [{PLUGIN!r}]")
    pytester.runpytest_subprocess("--strict-markers", "-p", PLUGIN).assert_outcomes(passed=1)


def test_number_of_seeds_can_be_overridden(run: Run) -> None:
    source = """
        import pytest
        import trio

        @pytest.fixture(scope="module")
        def runs():
            runs = []
            yield runs
            print("runs:", len(runs))

        @pytest.mark.cancel_matrix(seeds=2)
        async def test_sleep(runs):
            runs.append(1)
            await trio.sleep(1)
    """

    def count(*arguments: str) -> int:
        return int(re.findall(r"runs: (\d+)", run(source, "-s", *arguments).stdout.str())[0])

    assert count("--trio-chaos-seeds=0") < count() < count("--trio-chaos-seeds=9")


def test_scope_is_cancelled_by_its_name(run: Run) -> None:
    source = """
        import pytest
        import trio
        from trioworker.testing import cancel_target

        @pytest.mark.cancel_matrix(scopes=["reader"])
        async def test_reader():
            await trio.sleep(1)
            with cancel_target("reader") as scope:
                await trio.sleep(1)
            assert not scope.cancelled_caught
    """
    result = run(source)
    result.assert_outcomes(failed=2)
    assert failed(result)[0].startswith("cancel:reader:0, test_it.py:9, task ")
