"""The pytest plugin: runs asynchronous tests that are marked with `cancel_matrix` once for each of their checkpoints.

pytest loads it by its entry point wherever this package is installed. It must not disturb other tests, so what it needs
is imported only when a marked test runs. Where entry points are disabled, a conftest.py loads it:
`pytest_plugins = ["trioworker.testing.pytest_plugin"]`.

The plugin replaces the item's method that runs the test, so no plugin for asynchronous tests runs a marked one: the
matrix starts trio itself, once per run. All runs of a test share its synchronous fixtures. An asynchronous
fixture would belong to a single run.
"""

from __future__ import annotations

import functools
import inspect
import unittest
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence

    from trioworker.testing.matrix.report import CancelMatrixReport, Failure

ResultT = TypeVar("ResultT")

MARKER = "cancel_matrix"
ARGUMENTS = ("invariant", "scopes", "where", "allowed", "seeds")
"""What the marker takes: the arguments of `cancel_matrix`, except those that the plugin passes."""
OPTIONS_ARE_READ = pytest.StashKey[bool]()
"""Set if the plugin was loaded before the command line was parsed, so not by `pytest_plugins` in a test file."""
MAX_SHOWN = 5
"""Failed runs of one test that are reported."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("trio-chaos", "cancel matrix")
    group.addoption(
        "--trio-chaos",
        metavar="PLAN",
        help="run tests marked with cancel_matrix with this plan only, such as cancel:37",
    )
    group.addoption("--trio-chaos-seeds", metavar="N", type=int, help="number of seeds, instead of the tests' own")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse invalid options."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}({', '.join(ARGUMENTS)}): run the asynchronous test once for each checkpoint, and cancel it there",
    )
    if (seeds := config.getoption("trio_chaos_seeds", None)) is not None and seeds < 0:
        raise pytest.UsageError(f"--trio-chaos-seeds={seeds}: must not be negative")
    if (plan := config.getoption("trio_chaos", None)) is not None:
        _check_plan(plan)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember that the plugin was loaded before the session."""
    session.config.stash[OPTIONS_ARE_READ] = True


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make the item run as a matrix. Its fixtures are set up later."""
    mark = item.get_closest_marker(MARKER)
    if mark is None or not isinstance(item, pytest.Function):
        return
    if reason := _unsupported(item, mark):
        pytest.fail(f"{MARKER}: {reason}", pytrace=False)
    wanted = ["subtests", *_parameters(mark.kwargs.get("invariant"))]
    item.fixturenames.extend(name for name in wanted if name not in item.fixturenames)
    item.runtest = functools.partial(_run, item, item.obj, mark.kwargs)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Refuse fixtures that live in one run of trio, before another plugin handles them."""
    is_ours = isinstance(request.node, pytest.Function) and request.node.get_closest_marker(MARKER) is not None
    if not is_ours:
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        if _is_asynchronous(fixturedef.func):
            reason = "is asynchronous, and would belong to only one of the runs: create it in the test"
            # Raising here would leave the fixture half set up for the next test.
            patch.setattr(fixturedef, "func", functools.partial(_refuse, fixturedef.argname, reason))
        value = yield
    if _is_clock(value):
        _refuse(fixturedef.argname, "is a clock, but each run has its own virtual clock: remove the fixture")
    return value


def _check_plan(text: str) -> None:
    from trioworker.testing.matrix.plan import CancelPlan

    try:
        CancelPlan.parse(text)
    except ValueError as error:
        raise pytest.UsageError(f"--trio-chaos: {error}") from None


def _unsupported(item: pytest.Function, mark: pytest.Mark) -> str:
    """Why the marked test can't be run; empty if it can."""
    if not hasattr(pytest, "Subtests"):
        return "needs pytest 9 or later: pip install 'trioworker[testing]'"
    if item.cls is not None and issubclass(item.cls, unittest.TestCase):
        return "a test of unittest can't be run: make it a function, or a method of another class"
    if hasattr(item.obj, "is_hypothesis_test"):
        return "a test with Hypothesis's @given can't be run: use `seeds`, or pytest's parametrize"
    if not inspect.iscoroutinefunction(item.obj):
        return "the test is not asynchronous: make it an `async def`"
    if mark.args:
        return "the marker takes keyword arguments only"
    if unknown := [name for name in mark.kwargs if name not in ARGUMENTS]:
        return f"the marker has no argument {unknown[0]!r}: it takes {', '.join(ARGUMENTS)}"
    return ""


def _is_asynchronous(function: Callable[..., object]) -> bool:
    # pytest-trio marks the functions of its own synchronous fixtures, such as `nursery`.
    marked = getattr(function, "_force_trio_fixture", False)
    return marked or inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _is_clock(value: object) -> bool:
    from trio.abc import Clock

    return isinstance(value, Clock)


def _refuse(fixture: str, reason: str, **_: object) -> None:
    pytest.fail(f"{MARKER}: the fixture {fixture!r} {reason}", pytrace=False)


def _parameters(function: Callable[..., object] | None) -> list[str]:
    """The parameters that get fixtures: those without a default."""
    parameters = inspect.signature(function).parameters.values() if function else ()
    return [parameter.name for parameter in parameters if parameter.default is parameter.empty]


def _run(item: pytest.Function, test: Callable[..., Awaitable[object]], arguments: Mapping[str, Any]) -> None:
    """Run the matrix, and report each failed run as a subtest."""
    report = _matrix(item, test, arguments)
    _raise_what_is_about_the_item(report.failures)
    if report.failures:
        shown = _report(item, _most_telling(report.failures))
        count = f"failures: {len(report.failures)} ({shown} shown), checkpoints: {report.checkpoints}"
        pytest.fail(f"{MARKER}: {count}", pytrace=False)


def _matrix(
    item: pytest.Function, test: Callable[..., Awaitable[object]], arguments: Mapping[str, Any]
) -> CancelMatrixReport:
    from trioworker.testing.failure_text import command
    from trioworker.testing.matrix.api import cancel_matrix

    given = dict(arguments)
    if given.get("invariant"):
        given["invariant"] = _with_fixtures(given["invariant"], item)
    plan = item.config.getoption("trio_chaos", None)
    if plan:
        given["only"] = plan
    if (seeds := item.config.getoption("trio_chaos_seeds", None)) is not None:
        given["seeds"] = seeds
    repeat = functools.partial(command, item, has_options=item.config.stash.get(OPTIONS_ARE_READ, False))
    try:
        report = cancel_matrix(_with_fixtures(test, item), repeat=repeat, **given)
    except ValueError as error:
        # pytest would also show the exception that this one replaces.
        raise pytest.fail.Exception(f"{MARKER}: {error}", pytrace=False) from None
    if not plan:
        _drop_output(item.config)
    return report


def _raise_what_is_about_the_item(failures: Iterable[Failure]) -> None:
    """Raise pytest's skip, xfail or exit, which the matrix took for a failure: it is the outcome of the item."""
    from trioworker.testing.failure_text import leaves

    for failure in failures:
        for error in leaves(failure.error):
            if isinstance(error, (pytest.skip.Exception, pytest.xfail.Exception, pytest.exit.Exception)):
                raise error


def _drop_output(config: pytest.Config) -> None:
    """Discard the output of all runs. The command that repeats a run shows its output."""
    capture: Any = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.read_global_capture()


def _with_fixtures(function: Callable[..., ResultT], item: pytest.Function) -> Callable[[], ResultT]:
    arguments = {name: item.funcargs[name] for name in _parameters(function)}
    return functools.update_wrapper(functools.partial(function, **arguments), function)


def _most_telling(failures: Sequence[Failure]) -> list[Failure]:
    """At most MAX_SHOWN of the failures, in order: one per line of code before others of the same line."""
    seen: dict[tuple[str, int], int] = {}
    ranks: list[tuple[int, int]] = []
    for index, failure in enumerate(failures):
        place = (failure.file, failure.line)
        seen[place] = seen.get(place, 0) + 1
        ranks.append((seen[place], index))
    return [failures[index] for index in sorted(index for _, index in sorted(ranks)[:MAX_SHOWN])]


def _report(item: pytest.Function, failures: Iterable[Failure]) -> int:
    """Report failures as subtests, up to the one at which the session stops. Returns how many there were."""
    from trioworker.testing.failure_text import describe, headline

    subtests = cast("pytest.Subtests", item.funcargs["subtests"])
    reported = 0
    for failure in failures:
        reported += 1
        # pytest doesn't catch the exception if the session stops at it, as with -x.
        try:
            with subtests.test(headline(failure, item.config.invocation_params.dir)):
                pytest.fail(describe(failure, item), pytrace=False)
        except pytest.fail.Exception:
            break
    return reported
