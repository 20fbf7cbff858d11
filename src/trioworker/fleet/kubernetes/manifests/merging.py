"""Merges the mappings of a pod template into ours: null removes a field, and lists of objects are merged by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MERGED_BY_NAME = ("containers", "initContainers")
REPLACED_BY_NAME = ("env", "imagePullSecrets", "volumes")
"""Lists whose objects are replaced as a whole: an object of two sources, such as a volume, would be invalid."""


def merge(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Return `ours` with the fields of `theirs`, which win."""
    result = dict(ours)
    for key, value in theirs.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge_values(key, result.get(key), value)
    return result


def _merge_values(key: str, ours: Any, theirs: Any) -> Any:
    if isinstance(theirs, dict):
        return _merge_mappings(key, cast("Any", ours if isinstance(ours, dict) else {}), cast("Any", theirs))
    if isinstance(theirs, list):
        return _merge_items(key, cast("Any", ours if isinstance(ours, list) else []), cast("list[Any]", theirs))
    return theirs


def _merge_mappings(key: str, ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    return merge(_without_changed(ours, theirs) if key == "resources" else ours, theirs)


def _merge_items(key: str, ours: list[Any], theirs: list[Any]) -> list[Any]:
    if key in MERGED_BY_NAME:
        return _merge_lists(ours, theirs, _same_name, merge)
    if key in REPLACED_BY_NAME:
        return _merge_lists(ours, theirs, _same_name, lambda _, item: merge({}, item))
    if key == "volumeMounts":
        return _merge_lists(ours, theirs, _same_mount, merge)
    return [_merge_values("", None, item) for item in theirs]


def _merge_lists(
    ours: Sequence[dict[str, Any]],
    theirs: Sequence[dict[str, Any]],
    is_same: Callable[[dict[str, Any], dict[str, Any]], bool],
    combine: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
) -> list[dict[str, Any]]:
    result = list(ours)
    for item in theirs:
        place = next((place for place, mine in enumerate(ours) if is_same(mine, item)), None)
        if place is None:
            result.append(merge({}, item))
        else:
            result[place] = combine(result[place], item)
    return result


def _same_name(mine: dict[str, Any], item: dict[str, Any]) -> bool:
    return mine["name"] == item["name"]


def _same_mount(mine: dict[str, Any], item: dict[str, Any]) -> bool:
    """Whether two mounts have the same path, or the same volume if `item` has no path."""
    if "mountPath" in item:
        return mine["mountPath"].rstrip("/") == item["mountPath"].rstrip("/")
    return mine["name"] == item.get("name")


def _without_changed(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    """Our requests and limits without those of the resources that `theirs` sets: our limit may be below its request."""
    parts: list[Mapping[str, Any]] = [theirs.get(part) or {} for part in ("requests", "limits")]
    changed = {name for part in parts for name, quantity in part.items() if quantity is not None}
    return {
        part: {name: quantity for name, quantity in quantities.items() if name not in changed}
        for part, quantities in ours.items()
    }
