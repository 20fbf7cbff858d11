"""The JSON Schema of a struct, in the form that every provider accepts and that takes the fewest tokens.

Providers refuse `$ref` (Gemini and several local servers don't follow it), `anyOf` with `null`, `enum` without a type,
or an empty `required`. An optional parameter may be left out, so its schema has no `null`, although `null` is accepted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "#/$defs/"


def plain_schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of `struct` without `$ref`, titles and null; only recursive types keep their `$defs`."""
    schema = msgspec.json.schema(struct)
    definitions: dict[str, Any] = schema["$defs"]
    plain = _inlined(definitions[struct.__name__], definitions, (struct.__name__,))
    plain.pop("description", None)
    if _has_reference(plain):
        plain["$defs"] = definitions
    return plain


def _inlined(node: Any, definitions: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, definitions, within) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    schema = cast("dict[str, Any]", node)
    name = str(schema.get("$ref", "")).removeprefix(PREFIX)
    if name in definitions and name not in within:
        schema = {**definitions[name], **schema}
        del schema["$ref"]
        within = (*within, name)
    schema = {key: _inlined(value, definitions, within) for key, value in schema.items()}
    # A property may be called title too: its value is a schema.
    if isinstance(schema.get("title"), str):
        del schema["title"]
    if schema.get("required") == []:
        del schema["required"]
    if _is_choice_of_texts(schema):
        schema["type"] = "string"
    return _without_null(schema) if "default" in schema else schema


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of an optional field, without null."""
    if schema["default"] is None:
        del schema["default"]
    choices: Any = schema.get("anyOf")
    if not isinstance(choices, list):
        return schema
    others = [choice for choice in cast("list[Any]", choices) if choice != {"type": "null"}]
    if len(others) == 1:
        del schema["anyOf"]
        return {**others[0], **schema}
    return {**schema, "anyOf": others}


def _is_choice_of_texts(schema: Mapping[str, Any]) -> bool:
    choices: Any = schema.get("enum")
    return isinstance(choices, list) and all(isinstance(choice, str) for choice in cast("list[Any]", choices))


def _has_reference(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_has_reference, cast("list[Any]", node)))
    if not isinstance(node, dict):
        return False
    schema = cast("dict[str, Any]", node)
    return isinstance(schema.get("$ref"), str) or any(map(_has_reference, schema.values()))
