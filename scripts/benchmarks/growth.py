"""Growth: what a turn costs when the conversation is long.

One job grows in stages. At each size it waits until the worker has posted everything, and then takes some turns of one
call each; those are measured. CPU is also given without what the bytes of the request cost on the socket, which no
worker can save: that is measured with a plain socket that sends as many bytes.
"""

from __future__ import annotations

import socket
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.figures import Figure, UnmeasuredError
from benchmarks.overhead import cpu_ms, gaps_ms
from benchmarks.plan import Plan, Turn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.bench import Bench
    from benchmarks.control import Control
    from benchmarks.workers import Contender

CALLS_A_TURN = 50
"""Calls of one reply, by which a conversation is made long: fewer than any worker refuses to run at once."""
OPENING = 2
"""Messages before the first turn: the system's and the job."""
UNFOLDED = {"TRIOWORKER_CONTEXT_LIMIT": "100000000"}
"""A limit that no size here reaches: a conversation that is folded is not the one to be compared."""
SENDINGS = 20
"""Times that a request's bytes are sent to learn what the socket costs."""
PROMISED_SIZE = 5_000
MOST_FACTOR = 2.0
"""The CPU of a turn at so many messages over that at the smallest size, the socket set apart; at the most."""


def growth(bench: Bench) -> Iterator[Figure]:
    """At each of the scale's sizes."""
    sizes = bench.scale.sizes
    gaps = [_figure(f"reply to next request at {size} messages", "ms", pauses=True) for size in sizes]
    cpus = [_figure(f"CPU a turn at {size} messages", "ms") for size in sizes]
    nets = [_figure(f"CPU a turn at {size} messages, the socket's bytes set apart", "ms") for size in sizes]
    factor = Figure(
        measure="growth",
        name=f"CPU a turn at {sizes[-1]} messages over that at {sizes[0]}, the socket's bytes set apart",
        unit="x",
        against="",
        target=MOST_FACTOR if sizes[-1] >= PROMISED_SIZE else None,
    )
    turns = tuple(_turns(bench))
    plan = Plan(turns=turns, model_seconds=bench.scale.model_seconds)

    def once(contender: Contender, _: int) -> None:
        asked = bench.run(contender, plan, UNFOLDED).log.of("llm/")
        if len(asked) <= len(turns):
            raise UnmeasuredError(f"it made {len(asked)} LLM requests where {len(turns) + 1} were due")
        taken: list[float] = []
        for number, size in enumerate(sizes):
            first = next(index for index, turn in enumerate(turns) if turn.label == str(size))
            probed = asked[first : first + bench.scale.probes + 1]
            if not size <= probed[0].messages <= probed[-1].messages <= size + 2 * bench.scale.probes + OPENING:
                raise UnmeasuredError(f"it sent {probed[0].messages} messages where {size} were due")
            cpu = cpu_ms(probed)
            if cpu is None:
                raise UnmeasuredError("its process could not be looked at")
            net = cpu - _socket_ms(bench.control, probed[0].size)
            gaps[number].add(contender.name, statistics.median(gaps_ms(probed)))
            cpus[number].add(contender.name, cpu)
            nets[number].add(contender.name, net)
            taken.append(net)
        factor.add(contender.name, taken[-1] / taken[0])

    figures = [*gaps, *cpus, *nets, factor]
    bench.in_turns(figures, once, runs=bench.scale.growth_runs)
    yield from figures


def _figure(name: str, unit: str, *, pauses: bool = False) -> Figure:
    return Figure(measure="growth", name=name, unit=unit, pauses=pauses)


def _turns(bench: Bench) -> Iterator[Turn]:
    """Turns that bring a conversation to each size, and those that are measured there."""
    messages = OPENING
    for size in bench.scale.sizes:
        # A turn of one call comes last, whose reply is held back until the worker has nothing left to do.
        while (missing := size - messages - 2) > 1:
            calls = min(CALLS_A_TURN, missing - 1)
            yield Turn(calls=calls)
            messages += calls + 1
        yield Turn(settled=True)
        yield from (Turn(label=str(size)),) * bench.scale.probes
        messages += 2 * (bench.scale.probes + 1)


def _socket_ms(control: Control, size: int) -> float:
    """CPU milliseconds that sending so many bytes takes beyond sending hardly any."""
    return _sending_ms(control, size) - _sending_ms(control, 1)


def _sending_ms(control: Control, size: int) -> float:
    request = b"POST /control/bytes HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (size, bytes(size))
    with socket.create_connection(control.address) as connection:
        taken: list[float] = []
        for _ in range(SENDINGS):
            began = time.thread_time()
            connection.sendall(request)
            taken.append((time.thread_time() - began) * 1000)
            connection.recv(4096)
    return statistics.median(taken)
