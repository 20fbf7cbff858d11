"""Git's configuration in variables: `GIT_CONFIG_COUNT`, and a numbered key and value for each entry (git-config(1)).

CI systems pass proxies, mirrors and credentials this way. Entries with a secret are left out, and the
others are renumbered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.worker.processes.inherited_variables import looks_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping

Entry = tuple[str, str]
"""A key and its value."""
MAX_ENTRIES = 1000
"""Maximum number of entries that are read; more don't fit into a command's environment."""


def git_config_entries(environ: Mapping[str, str]) -> list[Entry]:
    """The entries in these variables; empty if git would refuse them."""
    count = environ.get("GIT_CONFIG_COUNT", "")
    if not count.isdecimal() or int(count[:9]) > MAX_ENTRIES:
        return []
    try:
        return [(environ[f"GIT_CONFIG_KEY_{n}"], environ[f"GIT_CONFIG_VALUE_{n}"]) for n in range(int(count))]
    except KeyError:
        return []


def inherited_entries(
    environ: Mapping[str, str], *, pass_env: Container[str], holds_secret: Callable[[str], bool]
) -> list[Entry]:
    """The inherited entries. One whose value `pass_env` names is inherited even if it looks like a secret."""
    return [
        (key, value)
        for number, (key, value) in enumerate(git_config_entries(environ))
        if f"GIT_CONFIG_VALUE_{number}" in pass_env or not _is_secret(key, value, holds_secret)
    ]


def git_config_variables(entries: Iterable[Entry]) -> dict[str, str]:
    """The variables that hold these entries; of equal keys, git uses the last."""
    variables: dict[str, str] = {}
    count = 0
    for count, (key, value) in enumerate(entries, 1):
        variables[f"GIT_CONFIG_KEY_{count - 1}"] = key
        variables[f"GIT_CONFIG_VALUE_{count - 1}"] = value
    return {"GIT_CONFIG_COUNT": str(count), **variables}


def _is_secret(key: str, value: str, holds_secret: Callable[[str], bool]) -> bool:
    # The key may be a URL with a password, and an extra header usually contains credentials.
    return key.lower().endswith(".extraheader") or any(looks_secret("", text, holds_secret) for text in (key, value))
