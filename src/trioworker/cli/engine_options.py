"""The options of `fleet` that only some engines support; other engines refuse them instead of ignoring them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

ENGINES = {
    "logs": ("process", "kubernetes"),
    "cpu": ("ray", "kubernetes"),
    "address": ("ray",),
    **dict.fromkeys(("memory", "kubeconfig", "context", "namespace", "image", "pod_template"), ("kubernetes",)),
}
"""The engines that support an option, by its key. `--dry-run` is checked elsewhere."""


def check_engine_options(engine: str, given: Mapping[str, object]) -> None:
    """Refuse options of another engine. `given` comes from the command line: variables may be set for other fleets.

    Raises:
        ConfigError: one is given.
    """
    for key, engines in ENGINES.items():
        if given.get(key) is not None and engine not in engines:
            name = f"--{key.replace('_', '-')}"
            wanted = " or ".join(f"--engine {each}" for each in engines)
            raise ConfigError(f"{name} is for {wanted}, not {engine}: choose the engine, or leave out {name}")
