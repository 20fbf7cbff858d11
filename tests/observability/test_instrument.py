"""`--instrument MODULE:NAME`: what it may name, and the errors for anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from trioworker.errors import ConfigError
from trioworker.observability.instrument import load_instrument

if TYPE_CHECKING:
    from pathlib import Path

MODULE = """
import trio

class Steps(trio.abc.Instrument):
    kept = []

class Greedy(trio.abc.Instrument):
    def __init__(self, wanted):
        pass

instance = Steps()

def factory():
    return instance

class Folder:
    inner = Steps

number = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module's name, one of its own for each test."""
    name = f"probes_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"{name}_broken.py").write_text("raise RuntimeError('out of order')")
    (tmp_path / f"{name}_leaving.py").write_text("raise SystemExit(5)")
    (tmp_path / f"{name}_needy.py").write_text("import not_there_either")
    monkeypatch.syspath_prepend(str(tmp_path))  # pyright: ignore[reportUnknownMemberType] - pytest leaves it untyped
    return name


@pytest.mark.parametrize("name", ["Steps", "instance", "factory", "Folder.inner"])
def test_instrument_is_loaded(module: str, name: str) -> None:
    found = load_instrument(f"{module}:{name}")
    assert isinstance(found, trio.abc.Instrument)
    assert type(found).__name__ == "Steps"


def test_instance_is_used_as_is(module: str) -> None:
    assert load_instrument(f"{module}:instance") is load_instrument(f"{module}:factory")


BAD = [
    ("{}", "is not MODULE:NAME"),
    ("{}:", "is not MODULE:NAME"),
    (":Steps", "is not MODULE:NAME"),
    ("{}_absent:Steps", "no module {}_absent; is it installed, or its folder on PYTHONPATH?"),
    ("{}_needy:Steps", "no module not_there_either; is it installed"),
    ("{}_broken:Steps", "RuntimeError: out of order"),
    ("{}_leaving:Steps", "SystemExit: 5"),
    ("{}:Absent", "the module {} has no Absent; use a name that the module defines"),
    ("{}:Greedy", "TypeError: Greedy.__init__() missing 1 required positional argument: 'wanted'"),
    ("{}:number", "a int, not a trio.abc.Instrument"),
    ("{}:Folder", "a Folder, not a trio.abc.Instrument"),
    ("..x:y", "TypeError: "),
]


@pytest.mark.parametrize(("spec", "reason"), BAD)
def test_unusable_spec_is_a_one_line_error(module: str, spec: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_instrument(spec.format(module))
    message = str(caught.value)
    assert message.startswith(f"--instrument {spec.format(module)}: ")
    assert reason.format(module) in message
    assert "\n" not in message
