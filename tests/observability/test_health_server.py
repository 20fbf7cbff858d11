"""What a worker says of itself when it is asked over its health socket, and that asking never does it harm."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import trio
from loguru import logger

from support.tools import Log, Probe
from support.world import DONE, JOB_ID, TOKEN, Exchange, Fault, World, calling
from trioworker import JobOutcome, RefusedError, open_job, run_job
from trioworker.cli.main import main
from trioworker.observability.health_check import Health

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trio.testing import MockClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "health.sock"


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    number = logger.add(lines.append, format="{level} {message}")  # pyright: ignore[reportArgumentType] - a str it is
    yield lines
    logger.remove(number)


async def said(path: Path) -> bytes:
    """All that the worker answers."""
    async with await trio.open_unix_socket(str(path)) as stream:
        return b"".join([part async for part in stream])


async def asked(path: Path) -> Health:
    return msgspec.json.decode(await said(path), type=Health)


def mode_of(path: Path) -> int | None:
    """What is there and who may use it; None if nothing is."""
    return path.lstat().st_mode if path.exists() else None


def write(path: Path, text: str) -> None:
    path.write_text(text)


def read(path: Path) -> str:
    return path.read_text()


def is_socket(path: Path) -> bool:
    return path.is_socket()


def seen(health: Health) -> tuple[str, int, float]:
    return health.state, health.iteration, round(health.idle, 1)


async def the_answer_while(world: World, workspace: Path, path: Path, at: float, **more: Any) -> Health:
    """What the worker says `at` seconds after its start."""
    answers: list[Health] = []

    async def ask() -> None:
        await trio.sleep(at)
        answers.append(await asked(path))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        config = world.config(workspace, health_socket=path, **more)
        outcome = await run_job(config, transport=world, tools=[Probe(Log())])
    assert outcome.success
    return answers[0]


async def test_before_the_job_is_fetched_it_starts(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    health = await the_answer_while(World(latency=4.0), workspace, path, 1.0)
    assert seen(health) == ("starting", 0, 1.0)
    assert health.job_id == JOB_ID
    assert health.actors == {}


async def test_it_waits_for_the_model(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    health = await the_answer_while(World(thinking=30.0), workspace, path, 20.0)
    assert (health.state, health.iteration) == ("waiting for model", 1)
    assert 19.0 < health.idle <= 20.0
    assert {name: (actor.state, actor.restarts) for name, actor in health.actors.items()} == dict.fromkeys(
        ("prompt-poller", "reasoner", "tool-executor", "event-shipper"), ("running", 0)
    )


async def test_it_runs_a_tool(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = World([calling(("probe", {"text": "secret plan", "seconds": 40.0})), DONE])
    health = await the_answer_while(world, workspace, path, 31.0)
    assert (health.state, health.tools) == ("running tool", ("probe",))
    assert 29.0 < health.idle < 31.0


async def test_an_end_that_can_not_be_reported_is_a_farewell(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    world = World()
    world.fault = lambda x: Fault(kind="delay", delay=20.0) if x.path == "complete" else None
    health = await the_answer_while(world, workspace, path, 10.0)
    assert health.state == "shutting down"
    assert health.actors["reasoner"].state == "ended"


async def test_each_iteration_is_progress(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = World([*(calling(("probe", {"text": str(n)})) for n in range(20)), DONE], thinking=2.0)
    health = await the_answer_while(world, workspace, path, 30.0)
    assert health.iteration > 5
    assert health.idle <= 2.0


async def test_requests_that_fail_are_no_progress(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = World()

    def away(exchange: Exchange) -> Fault | None:
        return Fault(kind="refused") if exchange.path.startswith("llm/") and exchange.at < 60.0 + began else None

    world.fault = away
    began = trio.current_time()
    health = await the_answer_while(world, workspace, path, 50.0)
    assert health.idle > 40.0


async def test_restarts_are_told(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = World(thinking=5.0)
    async with open_job(world.config(workspace, health_socket=path), transport=world) as job:
        await trio.sleep(1.0)
        job.actors["reasoner"].cancel()
        await trio.sleep(1.0)
        health = await asked(path)
        assert (await job.wait()).success
    assert health.actors["reasoner"].restarts == 1
    assert health.actors["event-shipper"].restarts == 0


async def test_nothing_of_what_was_said_is_told(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    answers: list[bytes] = []
    world = World([calling(("probe", {"text": "a secret plan", "seconds": 9.0}), content="Let me see."), DONE])
    async with open_job(world.config(workspace, health_socket=path), transport=world, tools=[Probe(Log())]) as job:
        await trio.sleep(5.0)
        answers.append(await said(path))
        assert (await job.wait()).success
    (answer,) = answers
    assert answer.count(b"\n") == 1
    for word in (TOKEN, "secret plan", "Let me see", world.description.title, world.description.description):
        assert word.encode() not in answer


async def test_clients_that_read_nothing_hold_nobody_up(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = World(thinking=20.0)
    async with open_job(world.config(workspace, health_socket=path), transport=world) as job:
        await trio.sleep(5.0)
        idlers = [await trio.open_unix_socket(str(path)) for _ in range(5)]
        for idler in [await trio.open_unix_socket(str(path)) for _ in range(2)]:
            await idler.aclose()
        assert (await asked(path)).iteration == 1
        assert (await job.wait()).success
        for idler in idlers:
            await idler.aclose()


async def test_the_socket_is_its_owners_and_goes_with_the_worker(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    world = World()
    async with open_job(world.config(workspace, health_socket=path), transport=world) as job:
        mode = mode_of(path)
        await job.wait()
    assert mode == stat.S_IFSOCK | 0o600
    assert mode_of(path) is None


async def test_it_goes_also_when_there_is_no_job(workspace: Path, path: Path, autojump_clock: MockClock) -> None:
    world = World()
    world.fault = lambda _: Fault(kind="status", status=404)
    with pytest.raises(RefusedError):
        await run_job(world.config(workspace, health_socket=path), transport=world)
    assert mode_of(path) is None


async def test_the_socket_of_a_killed_worker_is_replaced(
    workspace: Path, path: Path, autojump_clock: MockClock
) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
        killed.listen()
    assert is_socket(path)
    health = await the_answer_while(World(), workspace, path, 0.5)
    assert health.job_id == JOB_ID


async def run_with_warning(workspace: Path, path: Path, log: list[str]) -> tuple[JobOutcome, str]:
    world = World()
    outcome = await run_job(world.config(workspace, health_socket=path), transport=world)
    (warning,) = [line.strip() for line in log if line.startswith("WARNING")]
    return outcome, warning


async def test_another_workers_socket_is_left_to_it(
    workspace: Path, path: Path, log: list[str], autojump_clock: MockClock
) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        outcome, warning = await run_with_warning(workspace, path, log)
        assert is_socket(path)
    assert outcome.success
    assert warning == (
        f"WARNING --health-socket {path}: another worker answers there; nobody can ask how this worker is"
    )


async def test_what_is_no_socket_is_left_alone(
    workspace: Path, path: Path, log: list[str], autojump_clock: MockClock
) -> None:
    write(path, "precious")
    outcome, warning = await run_with_warning(workspace, path, log)
    assert outcome.success
    assert "it is there and is no socket" in warning
    assert read(path) == "precious"


async def test_a_folder_that_is_not_there_does_not_fail_the_job(
    workspace: Path, path: Path, log: list[str], autojump_clock: MockClock
) -> None:
    outcome, warning = await run_with_warning(workspace, path / "deeper", log)
    assert outcome.success
    assert "No such file or directory" in warning


def test_a_path_that_no_socket_can_have_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["health", "--health-socket", "/" + "x" * 107]) == 2
    assert "is not a path of at most 107 bytes" in capsys.readouterr().err
    # One byte less is a path: nobody answers there.
    assert main(["health", "--health-socket", "/" + "x" * 106]) == 1


def test_health_needs_a_socket(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRIOWORKER_HEALTH_SOCKET", raising=False)
    assert main(["health"]) == 2
    assert "--health-socket is missing: give it, or set TRIOWORKER_HEALTH_SOCKET" in capsys.readouterr().err


class Answering:
    """A worker's side of the socket: answers everybody the same, from a thread."""

    def __init__(self, path: Path, answer: bytes) -> None:
        code = (
            "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\n"
            "s.listen()\nprint(flush=True)\n"
            "c, _ = s.accept()\nc.sendall(sys.argv[2].encode())"
        )
        self._process = subprocess.Popen([sys.executable, "-c", code, path, answer], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


LINE = b'{"state":"working","job_id":"j","iteration":3,"idle":40.0,"tools":[],"actors":{}}'


@pytest.mark.parametrize(("limit", "code"), [([], 0), (["--max-idle", "41"], 0), (["--max-idle", "39"], 1)])
def test_a_worker_that_idles_too_long_is_unhealthy(
    path: Path, capsys: pytest.CaptureFixture[str], limit: list[str], code: int
) -> None:
    with Answering(path, LINE + b"\n"):
        assert main(["health", "--health-socket", str(path), *limit]) == code
    told = capsys.readouterr()
    assert told.out == LINE.decode() + "\n"
    assert told.err == ("trioworker: no progress for 40 s, over --max-idle 39\n" if code else "")


@pytest.mark.parametrize("answer", [b"", b"hello\n", b'{"state":"dancing"}\n', b"{}" * 50_000])
def test_what_is_no_worker_is_unhealthy(path: Path, capsys: pytest.CaptureFixture[str], answer: bytes) -> None:
    with Answering(path, answer):
        assert main(["health", "--health-socket", str(path)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == f"trioworker: what answers at {path} is no worker of this version\n"


def test_a_check_imports_neither_trio_nor_httpx(path: Path) -> None:
    code = (
        "import sys\nfrom trioworker.cli.main import main\ncode = main(['health', '--health-socket', sys.argv[1]])\n"
        "print(code, *{'trio', 'httpx', 'h11', 'loguru', 'asyncio', 'ssl'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert ended.stdout == "1\n"
    assert ended.stderr == f"trioworker: no worker answers at {path}: {os.strerror(2)}; does one run there?\n"
