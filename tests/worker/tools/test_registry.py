from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from trioworker.errors import ConfigError, ToolError
from trioworker.worker.tools.base import Parameters, Tool
from trioworker.worker.tools.read_file import ReadFile
from trioworker.worker.tools.registry import BUILTIN_TOOLS, Registry
from trioworker.worker.tools.schema import plain_schema
from trioworker.worker.tools.shell import Shell

if TYPE_CHECKING:
    from trioworker.worker.tools.base import ToolContext

CONTRACT = {
    "shell": ({"command"}, {"workdir", "timeout"}),
    "read_file": ({"path"}, {"offset", "limit"}),
    "write_file": ({"path", "content"}, set[str]()),
    "list_dir": (set[str](), {"path", "recursive", "max_depth"}),
    "apply_patch": (set[str](), {"path", "old_string", "new_string", "replace_all", "edits", "patch"}),
    "glob": ({"pattern"}, {"path"}),
    "grep": ({"pattern"}, {"path", "glob", "mode", "context", "before", "after", "ignore_case", "multiline"}),
}
"""Each tool's required and optional parameters (contract, 'Tools', and ours)."""


def test_registry_has_the_tools_of_the_contract() -> None:
    assert set(Registry().names) == set(CONTRACT)


@pytest.mark.parametrize("name", CONTRACT)
def test_definition_has_the_parameters_of_the_contract(name: str) -> None:
    definition = next(definition for definition in Registry().definitions if definition.name == name)
    required, optional = CONTRACT[name]
    assert definition.description
    assert definition.parameters["type"] == "object"
    assert set(definition.parameters.get("required", [])) == required
    assert set(definition.parameters["properties"]) == required | optional
    assert msgspec.json.decode(msgspec.json.encode(definition.parameters)) == definition.parameters


def test_only_tools_that_read_run_concurrently() -> None:
    registry = Registry()
    reading = {name for name in registry.names if registry.get(name).reads_only}
    assert reading == {"read_file", "list_dir", "glob", "grep"}


def test_schemas_have_neither_references_nor_null() -> None:
    encoded = bytes(Registry().encoded).decode()
    assert "$ref" not in encoded
    assert "$defs" not in encoded
    assert "null" not in encoded
    assert "anyOf" not in encoded


def test_choice_has_a_type() -> None:
    (grep,) = (definition for definition in Registry().definitions if definition.name == "grep")
    assert grep.parameters["properties"]["mode"]["type"] == "string"


def test_schema_without_required_parameters_has_no_empty_required_list() -> None:
    (list_dir,) = (definition for definition in Registry().definitions if definition.name == "list_dir")
    assert "required" not in list_dir.parameters


class Folder(Parameters, frozen=True):
    title: str
    parts: list[Folder] = []  # noqa: RUF012 - msgspec copies it
    default: str | None = None


def test_schema_of_a_recursive_type_keeps_its_reference() -> None:
    schema = plain_schema(Folder)
    assert schema["properties"] == {
        "title": {"type": "string"},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/Folder"}, "default": []},
        "default": {"type": "string"},
    }
    assert "Folder" in schema["$defs"]


def test_unknown_tool_is_an_error_that_lists_the_tools() -> None:
    with pytest.raises(ToolError) as caught:
        Registry().get("nothing")
    assert str(caught.value) == (
        "tool 'nothing' not found; the tools are shell, read_file, write_file, list_dir, apply_patch, glob, grep"
    )


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("bash", "use shell"),
        ("functions.shell", "use shell"),
        ("default_api.shell", "use shell"),
        ("functions.shell:0", "use shell"),
        ("shell<|channel|>commentary", "use shell"),
        ("mcp__files__read_file", "use read_file"),
        ("Shell", "use shell"),
        ("ReadFile", "use read_file"),
        ("read-file", "use read_file"),
        ("Read", "use read_file"),
        ("MultiEdit", "use apply_patch"),
        ("LS", "use list_dir"),
        ("run_terminal_cmd", "use shell"),
        ("execute_command", "use shell"),
        ("container.exec", "use shell"),
        ("create_file", "use write_file"),
        ("find", "use glob or shell"),
        ("search_files", "use grep or glob"),
        ("str_replace_editor", "use read_file, write_file or apply_patch"),
        ("str_replace_based_edit_tool", "use read_file, write_file or apply_patch"),
    ],
)
def test_name_of_another_agents_tool_is_answered_with_the_equivalent_tool(name: str, remedy: str) -> None:
    with pytest.raises(ToolError) as caught:
        Registry().get(name)
    assert str(caught.value) == f"tool {name!r} not found; {remedy}"


def test_only_tools_of_the_job_are_named() -> None:
    with pytest.raises(ToolError, match=r"^tool 'bash' not found; the tools are read_file$"):
        Registry([ReadFile()]).get("bash")
    with pytest.raises(ToolError, match=r"^tool 'edit' not found; there are no tools$"):
        Registry([]).get("edit")


def test_odd_name_is_shown_on_one_line_and_in_part() -> None:
    with pytest.raises(ToolError) as caught:
        Registry().get("a\n" * 1000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_duplicate_name_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"^two tools are named 'shell'; give each its own name$"):
        Registry([*BUILTIN_TOOLS, Shell()])


class Own(Tool[Parameters]):
    """A tool whose attributes are given."""

    def __init__(self, name: object = "own", description: object = "Mine.", parameters: object = Parameters) -> None:
        vars(self).update(name=name, description=description, parameters=parameters)

    async def run(self, parameters: Parameters, context: ToolContext) -> object:
        return ""


class Unencodable(Parameters, frozen=True):
    """Parameters without a JSON Schema."""

    socket: type


@pytest.mark.parametrize(
    ("tool", "message"),
    [
        (Own, "Own is a class of tools; pass an instance: Own()"),
        (print, "<built-in function print> is not a tool: it isn't an instance of trioworker.Tool"),
        (Own(name="word count"), "Own: the name 'word count' is not 1 to 64 letters, digits, underscores and hyphens"),
        (Own(name=None), "Own: the name None is not 1 to 64 letters, digits, underscores and hyphens"),
        (Own(description=None), "Own: the description None is not text"),
        (Own(parameters=dict), "Own: the parameters <class 'dict'> are not a subclass of trioworker.Parameters"),
    ],
)
def test_unusable_tool_is_a_configuration_error_of_one_line(tool: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Registry([*BUILTIN_TOOLS, tool])
    assert str(caught.value) == message


def test_parameters_without_a_schema_are_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"^Own: the parameters have no JSON Schema: "):
        Registry([Own(parameters=Unencodable)])


def test_own_tool_is_added_to_the_built_in_ones() -> None:
    assert Registry([*BUILTIN_TOOLS, Own()]).names == (*CONTRACT, "own")
