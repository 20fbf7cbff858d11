"""How much is measured: in full, quickly for CI, or just so that everything ran once."""

from __future__ import annotations

import msgspec


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured. Seconds are a model's for a reply; both are over the pace of 0.1 s."""

    name: str
    runs: int
    start_runs: int
    growth_runs: int
    memory_runs: int
    safety_runs: int
    tracing_runs: int
    iterations: int
    model_seconds: float
    delays_ms: tuple[int, ...]
    sizes: tuple[int, ...]
    probes: int
    result_iterations: int
    output_bytes: int
    event_calls: int
    appends: int
    text_bytes: int
    fleet: int


FULL = Scale(
    name="full",
    runs=5,
    start_runs=15,
    growth_runs=5,
    memory_runs=5,
    safety_runs=5,
    tracing_runs=12,
    iterations=50,
    model_seconds=0.15,
    delays_ms=(0, 20, 100),
    sizes=(10, 100, 1_000, 5_000),
    probes=10,
    result_iterations=50,
    output_bytes=200_000_000,
    event_calls=1_000,
    appends=20_000,
    text_bytes=1_000_000,
    fleet=50,
)
QUICK = Scale(
    name="quick",
    runs=3,
    start_runs=5,
    growth_runs=1,
    memory_runs=1,
    safety_runs=1,
    tracing_runs=2,
    iterations=6,
    model_seconds=0.11,
    delays_ms=(0, 40),
    sizes=(10, 200),
    probes=5,
    result_iterations=5,
    output_bytes=20_000_000,
    event_calls=100,
    appends=2_000,
    text_bytes=1_000_000,
    fleet=4,
)
"""For CI: under 90 s on two cores. Its ratios are not the full run's, so both are recorded."""

SMOKE = Scale(
    name="smoke",
    runs=1,
    start_runs=1,
    growth_runs=1,
    memory_runs=1,
    safety_runs=1,
    tracing_runs=1,
    iterations=2,
    model_seconds=0.0,
    delays_ms=(0, 1),
    sizes=(10, 20),
    probes=1,
    result_iterations=1,
    output_bytes=1_000_000,
    event_calls=4,
    appends=40,
    text_bytes=20_000,
    fleet=2,
)
"""Shows that the benchmark works; the figures mean nothing."""
