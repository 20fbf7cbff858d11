"""What the pytest plugin shows of failures."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from support.pytest_sessions import LEAK, PASSES, PLUGIN, failed

if TYPE_CHECKING:
    import pytest

    from support.pytest_sessions import Run

pytest_plugins = ["pytester"]


def test_failure_shows_the_cancelled_line_and_the_failing_one(run: Run) -> None:
    result = run(LEAK)
    result.stdout.fnmatch_lines(
        [
            "AssertionError: assert 1 == 2",
            "cancelled while task * was at test_it.py:10",
            "    await trio.sleep(1)  # a cancel here loses the connection",
            "test_it.py:22: in test_pool",
            "    assert pool.free == 2",
            "E   assert 1 == 2",
        ],
    )


def test_failure_shows_where_cancelled_was_raised(run: Run) -> None:
    source = """
        import pytest
        import trio

        @pytest.mark.cancel_matrix
        async def test_it():
            done = False
            try:
                await trio.lowlevel.cancel_shielded_checkpoint()
                await trio.sleep(1)
                done = True
            finally:
                assert done
    """
    run(source).stdout.fnmatch_lines(
        [
            "cancelled while task * was at test_it.py:8",
            "    await trio.lowlevel.cancel_shielded_checkpoint()",
            "Cancelled was raised at test_it.py:9",
            "    await trio.sleep(1)",
        ]
    )


def test_failure_shows_no_frame_of_the_plugin_or_of_trio(run: Run) -> None:
    output = run(LEAK).stdout.str()
    assert "pytest_plugin.py" not in output
    assert "_run.py" not in output
    assert "hidden" not in output


def test_printed_command_repeats_the_failure_only(run: Run, pytester: pytest.Pytester) -> None:
    output = run(LEAK).stdout.str()
    (command,) = re.findall("^repeat: pytest (.+)$", output, re.MULTILINE)
    assert re.fullmatch(r"test_it\.py::test_pool --trio-chaos='cancel:\d+'", command)
    again = pytester.runpytest_inprocess(*shlex.split(command))
    again.assert_outcomes(failed=2)
    assert failed(again) == failed(run(LEAK))


def test_summary_on_a_ci_server_has_the_command_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    result = run(LEAK)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*= short test summary info =*", "SUBFAILED?cancel:*", "repeat: pytest test_it.py::*"])


def test_command_is_relative_to_the_folder_of_the_session(
    run: Run, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeini("[pytest]")
    folder = pytester.mkdir("folder")
    monkeypatch.chdir(folder)
    result = run(LEAK, "--rootdir", "..", "../test_it.py")
    result.stdout.fnmatch_lines(["repeat: pytest ../test_it.py::test_pool --trio-chaos=*"])


def test_command_names_the_plugin_if_the_command_line_does(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(LEAK)
    result = pytester.runpytest_inprocess("-p", PLUGIN)
    result.stdout.fnmatch_lines([f"repeat: pytest -p {PLUGIN} *.py::test_pool --trio-chaos=*"])


def test_command_names_the_plugin_if_only_the_test_file_does(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(f"{LEAK}\n    pytest_plugins = [{PLUGIN!r}]")
    result = pytester.runpytest_inprocess()
    (command,) = re.findall("^repeat: pytest (.+)$", result.stdout.str(), re.MULTILINE)
    pytester.runpytest_inprocess(*shlex.split(command)).assert_outcomes(failed=2)


def test_output_is_shown_only_when_a_run_is_repeated(run: Run) -> None:
    source = LEAK.replace("pool = Pool()", "pool = Pool(); print('a pool')")
    assert "\na pool\n" not in run(source).stdout.str()
    assert "\na pool\n" in run(source, "--trio-chaos=cancel:0").stdout.str()


def test_many_failures_are_limited_and_one_per_line_of_code_comes_first(run: Run) -> None:
    source = """
        import pytest
        import trio

        @pytest.mark.cancel_matrix
        async def test_it():
            done = False
            try:
                for _ in range(20):
                    await trio.sleep(1)
                await trio.sleep(2)
                await trio.sleep(3)
                done = True
            finally:
                assert done
    """
    result = run(source)
    result.assert_outcomes(failed=6)
    lines = [headline.split(", ")[1] for headline in failed(result)]
    assert lines == ["test_it.py:9", "test_it.py:9", "test_it.py:9", "test_it.py:10", "test_it.py:11"]
    result.stdout.fnmatch_lines(["cancel_matrix: failures: 22 (5 shown), checkpoints: 22"])


def test_program_that_fails_without_a_cancel_is_one_failure(run: Run) -> None:
    result = run(PASSES + "        raise KeyError(7)")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["KeyError: 7", "*: in test_sleep", "repeat: pytest test_it.py::test_sleep --trio-chaos='seed:0'"]
    )


def test_failure_in_a_task_is_shown_without_exception_groups(run: Run) -> None:
    source = """
        import pytest
        import trio

        async def child():
            with pytest.raises(ValueError):
                await trio.sleep(1)

        @pytest.mark.cancel_matrix
        async def test_it():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child)
    """
    result = run(source)
    result.stdout.fnmatch_lines(["Failed: DID NOT RAISE*ValueError*", "*: in child", "E   *DID NOT RAISE*"])
    assert "ExceptionGroup" not in result.stdout.str()
