"""`--tool MODULE:NAME`: what it may name, and the errors for anything else."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from trioworker.errors import ConfigError
from trioworker.worker.tools.own_tools import load_tools

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

TOOL = """
from typing import ClassVar

from trioworker import Parameters, Tool


class Empty(Parameters, frozen=True):
    pass


class Base(Tool[Empty]):
    name: ClassVar[str] = "base"
    description: ClassVar[str] = "Does nothing."
    parameters: ClassVar[type[Parameters]] = Empty

    async def run(self, parameters, context):
        return ""


class Other(Base):
    name: ClassVar[str] = "other"

    def __init__(self, text="x"):
        self.text = text


class Abstract(Tool[Empty]):
    name: ClassVar[str] = "abstract"


class Shell(Base):
    name: ClassVar[str] = "shell"


class Spaced(Base):
    name: ClassVar[str] = "two words"


class Undescribed(Base):
    description: ClassVar[str] = " "


class Dict(Base):
    parameters = dict


class Sync(Base):
    def run(self, parameters, context):
        return ""


class Odd(Parameters, frozen=True):
    what: type


class Unencodable(Base):
    parameters: ClassVar[type[Parameters]] = Odd


class Greedy(Base):
    def __init__(self, wanted):
        pass


class Folder:
    inner = Other


instance = Other("y")
number = 7
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Generator[str]:
    """A module in the working directory, with a name of its own for each test."""
    name = f"tools_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(TOOL)
    (tmp_path / f"{name}_broken.py").write_text("x = 1\nraise RuntimeError('out of\\norder')")
    (tmp_path / f"{name}_syntax.py").write_text("x = 1\ny = = 2\n")
    (tmp_path / f"{name}_leaving.py").write_text("raise SystemExit(5)")
    (tmp_path / f"{name}_needy.py").write_text("import not_there_either")
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield name
    for loaded in [each for each in sys.modules if each.startswith(name)]:
        del sys.modules[loaded]


@pytest.mark.parametrize("name", ["Other", "instance", "Folder.inner"])
def test_class_or_instance_is_loaded_from_the_working_directory(module: str, name: str, tmp_path: Path) -> None:
    (tool,) = load_tools([f"{module}:{name}"], tmp_path / "workspace")
    assert tool.name == "other"
    assert vars(tool)["text"] == ("y" if name == "instance" else "x")


def test_several_tools_are_loaded_in_order(module: str, tmp_path: Path) -> None:
    tools = load_tools([f"{module}:Other", f"{module}:Base"], tmp_path / "workspace")
    assert [tool.name for tool in tools] == ["other", "base"]


def test_installed_module_takes_precedence_over_the_working_directory(module: str, tmp_path: Path) -> None:
    (tmp_path / "trio.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(ConfigError, match=r"the class Nursery is not a trioworker\.Tool"):
        load_tools(["trio:Nursery"], tmp_path / "workspace")


@pytest.mark.parametrize("place", [".", "workspace"])
def test_module_in_the_workspace_is_refused(
    module: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A command of an earlier job may have written it.
    (tmp_path / "workspace" / f"{module}.py").write_text("raise SystemExit('it ran')")
    spec = f"{module}:Other"
    if place == ".":
        (tmp_path / f"{module}.py").unlink()
        spec = f"workspace.{spec}"
    monkeypatch.chdir(tmp_path / place)
    with pytest.raises(ConfigError) as caught:
        load_tools([spec], tmp_path / "workspace")
    assert f"{tmp_path}/workspace/{module}.py is in the workspace, where tools write; move it" in str(caught.value)


def test_module_in_the_workspace_is_loaded_if_the_search_path_says_so(module: str, tmp_path: Path) -> None:
    sys.path.append(str(tmp_path))
    (tool,) = load_tools([f"{module}:Base"], tmp_path)
    assert tool.name == "base"


BAD = [
    ("{}_absent:Other", "no module {}_absent; is it installed, or its folder on PYTHONPATH?"),
    ("{}_needy:Other", "no module not_there_either; is it installed"),
    ("{}_broken:Other", "RuntimeError: out of order (PLACE/{}_broken.py:2)"),
    ("{}_syntax:Other", "SyntaxError: invalid syntax ({}_syntax.py, line 2)"),
    ("{}_leaving:Other", "SystemExit: 5 (PLACE/{}_leaving.py:1)"),
    ("{}:Absent", "the module {} has no Absent; use a name that the module defines"),
    ("{}:Greedi", "the module {} has no Greedi; did you mean Greedy?"),
    ("{}:Greedy", "TypeError: Greedy.__init__() missing 1 required positional argument: 'wanted'"),
    ("{}:number", "a int is not a trioworker.Tool"),
    ("{}:Folder", "the class Folder is not a trioworker.Tool"),
    ("{}:Abstract", "the class Abstract is abstract; define the method run"),
    ("{}:Shell", "'shell' is already a built-in tool; give it another name"),
    ("{}:Spaced", "its name must consist of 1 to 64 letters, digits, - and _"),
    ("{}:Undescribed", "its description is missing; the model chooses tools by it"),
    ("{}:Dict", "its parameters must be a subclass of trioworker.Parameters"),
    ("{}:Sync", "its method run must be async"),
    ("{}:Unencodable", "TypeError: "),
]


@pytest.mark.parametrize(("spec", "reason"), BAD)
def test_unusable_tool_is_a_one_line_error(module: str, spec: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_tools([spec.format(module)], tmp_path / "workspace")
    message = str(caught.value)
    assert message.startswith(f"--tool {spec.format(module)}: {reason.format(module).replace('PLACE', str(tmp_path))}")
    assert "\n" not in message


def test_name_of_another_tool_is_an_error(module: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'other' is already the tool of --tool {module}:Other"):
        load_tools([f"{module}:Other", f"{module}:instance"], tmp_path / "workspace")
