from __future__ import annotations

import msgspec
import pytest

from trioworker.errors import ConfigError, ToolError
from trioworker.worker.tools.registry import Registry
from trioworker.worker.tools.shell import Shell

CONTRACT = {
    "shell": ({"command"}, {"workdir", "timeout"}),
    "read_file": ({"path"}, {"offset", "limit"}),
    "write_file": ({"path", "content"}, set[str]()),
    "list_dir": (set[str](), {"path", "recursive", "max_depth"}),
    "apply_patch": ({"path", "old_string", "new_string"}, {"replace_all"}),
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


def test_unknown_tool_is_an_error_with_its_name() -> None:
    with pytest.raises(ToolError, match=r"^tool 'nothing' not found$"):
        Registry().get("nothing")


def test_duplicate_name_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="two tools are named 'shell'"):
        Registry([Shell(), Shell()])
