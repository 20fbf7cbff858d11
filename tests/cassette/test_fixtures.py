"""The recorded jobs of `tests/cassettes`: each is replayed, in virtual time, and compared with its recording."""

from __future__ import annotations

import os
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import trio

from support.wiretap import Wiretap
from trioworker import ConfigError, open_job
from trioworker.cassette import DivergedError, Replay, load_cassette, replay
from trioworker.cassette.format import read_cassette
from trioworker.worker.redaction.secrets import Redactor

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trioworker.cassette import Cassette

CASSETTES = sorted((Path(__file__).parents[1] / "cassettes").glob("*.jsonl"))

cassettes = pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)


def test_cassettes_cover_every_status_mode_and_outcome() -> None:
    recorded = [load_cassette(path) for path in CASSETTES]
    assert {one.end.status for one in recorded} == {"completed", "failed", "stuck", "cancelled"}
    assert {one.header.reasoning for one in recorded} == {"single", "two-phase"}
    requests = [msgspec.json.decode(exchange.request) for one in recorded for exchange in one.exchanges]
    assert {request["tool_choice"] for request in requests} == {"auto", "none"}
    assert any(exchange.prompts for one in recorded for exchange in one.exchanges)
    assert {call.outcome for one in recorded for call in one.calls} == {"success", "failure"}


@cassettes
async def test_replay_has_the_recorded_outcome_and_touches_no_file(
    path: Path, workspace: Path, autojump_clock: MockClock
) -> None:
    cassette = load_cassette(path)
    outcome = await replay(cassette, workspace)

    assert outcome.status == cassette.end.status
    assert outcome.reported
    assert os.listdir(workspace) == []


@cassettes
async def test_replay_sends_the_recorded_requests_byte_for_byte(
    path: Path, workspace: Path, autojump_clock: MockClock
) -> None:
    cassette = load_cassette(path)
    player = Replay(cassette)
    tap = Wiretap(player.transport)
    async with open_job(
        player.config(workspace),
        transport=tap,
        tools=player.tools,
        machine=player.machine,
        extra_time=player.extra_time,
    ) as job:
        await job.wait() if cassette.end.status != "cancelled" else await player.transport.reached_stop.wait()

    assert tap.requests == [(exchange.path, exchange.request) for exchange in cassette.exchanges]


@cassettes
async def test_one_changed_byte_diverges_with_the_number_of_its_request(
    path: Path, workspace: Path, autojump_clock: MockClock
) -> None:
    cassette = load_cassette(path)
    number = len(cassette.exchanges)
    # Change the last letter of the last message; the rest of the body stays the same.
    body = cassette.exchanges[-1].request
    at = max(found.start() for found in re.finditer(rb'[a-z](?=[^a-z]*"[,}])', body.partition(b'"tools":')[0]))
    changed = msgspec.structs.replace(
        cassette.exchanges[-1], request=body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    )
    other = msgspec.structs.replace(cassette, exchanges=(*cassette.exchanges[:-1], changed))

    with pytest.raises(DivergedError) as caught:
        await replay(other, workspace)

    assert f"request {number} of {number} differs" in str(caught.value)
    removed = [line for line in caught.value.diff.splitlines() if line.startswith("-")]
    added = [line for line in caught.value.diff.splitlines() if line.startswith("+")]
    assert len(removed) == len(added) == 2


@pytest.mark.parametrize("seed", range(12))
@cassettes
async def test_damaged_cassette_is_refused_or_diverges(
    path: Path, seed: int, workspace: Path, autojump_clock: MockClock
) -> None:
    # Damage to what no request depends on, such as the seconds of a call, goes unnoticed.
    with suppress(ConfigError, DivergedError):
        await replay(read_cassette(_damaged(path, seed), path.name), workspace)
    assert os.listdir(workspace) == []


@cassettes
def test_cassette_contains_no_local_path_and_no_secret(path: Path) -> None:
    text = path.read_text()
    assert re.findall(r"(?<![\w.])/(?:tmp|home|root|work|usr/local)\b[^\" ]*", text) == []
    assert Redactor().redact(text).kinds == ()


async def test_replay_takes_the_recorded_time_in_virtual_seconds(workspace: Path, autojump_clock: MockClock) -> None:
    cassette = _named("follow-up")
    began = autojump_clock.current_time()
    await replay(cassette, workspace)
    assert autojump_clock.current_time() - began > sum(call.seconds for call in cassette.calls if call.ran) > 2


async def test_follow_up_joins_the_recorded_request(workspace: Path, autojump_clock: MockClock) -> None:
    cassette = _named("follow-up")
    (joined,) = [number for number, exchange in enumerate(cassette.exchanges) if exchange.prompts]
    messages: list[str] = []
    await replay(
        cassette, workspace, on_event=lambda kind, data: messages.append(data["content"]) if kind == "message" else None
    )
    assert joined == 1
    assert cassette.exchanges[joined].prompts[0] in messages


async def test_cancelled_actors_get_the_same_replies(workspace: Path, autojump_clock: MockClock) -> None:
    player = Replay(_named("fix-a-bug"))
    tap = Wiretap(player.transport)
    async with open_job(player.config(workspace), transport=tap, tools=player.tools, machine=player.machine) as job:
        # In the middle of a request, which is repeated and gets the same reply.
        while job.job.iteration < 3:  # noqa: ASYNC110 - there is no event for an iteration
            await trio.sleep(0.01)
        job.actors["reasoner"].cancel()
        job.actors["prompt-poller"].cancel()
        outcome = await job.wait()
    player.check(outcome)
    assert outcome.success
    assert job.actors["reasoner"].restarts == 1
    assert len(tap.requests) == len(player.cassette.exchanges) + 1


def _named(name: str) -> Cassette:
    (path,) = [path for path in CASSETTES if path.stem == name]
    return load_cassette(path)


def _damaged(path: Path, seed: int) -> bytes:
    chance = random.Random(seed)
    content = bytearray(path.read_bytes())
    if seed % 3:
        for _ in range(seed % 3):
            content[chance.randrange(len(content))] = chance.choice(b'{}[]",:\\x01-5aZ\x00\xff')
    else:
        lines = content.split(b"\n")
        del lines[chance.randrange(1, len(lines) - 1)]
        content = b"\n".join(lines)
    return bytes(content)
