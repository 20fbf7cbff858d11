from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trioworker.worker.processes.sandbox.writable_paths import is_within, writable_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKSPACE = Path("/workspace")


def places(
    environment: Mapping[str, str] | None = None,
    state_dir: Path | None = None,
    more: tuple[Path, ...] = (),
    *,
    contained: bool = False,
) -> set[str]:
    """The writable paths other than devices."""
    allowed = writable_paths(WORKSPACE, environment or {}, state_dir=state_dir, more=more, contained=contained)
    return {str(path) for path in allowed if not path.is_relative_to("/dev")}


def test_the_workspace_and_tmp_are_writable() -> None:
    assert places(environment={"HOME": "/home/somebody"}) == {"/workspace", "/tmp"}


def test_absolute_temporary_folders_are_writable() -> None:
    assert places(environment={"TMPDIR": "/scratch", "TMP": "relative", "TEMP": "/"}) == {
        "/workspace",
        "/tmp",
        "/scratch",
    }


def test_paths_of_the_user_are_writable() -> None:
    assert places(more=(Path("/data"), Path("/cache"))) == {"/workspace", "/tmp", "/data", "/cache"}


@pytest.mark.parametrize(
    ("home", "state_dir", "is_open"),
    [
        ("/home/worker", None, True),
        ("/home/worker", Path("/var/lib/trioworker"), True),
        ("/home/worker", Path("/home/worker/.local/state/trioworker"), False),
        ("/", None, False),
        ("//", None, False),
        ("", None, False),
        ("home", None, False),
    ],
)
def test_home_is_writable_in_a_container_without_the_journal(home: str, state_dir: Path | None, is_open: bool) -> None:
    allowed = places(environment={"HOME": home}, state_dir=state_dir, contained=True)
    assert allowed == {"/workspace", "/tmp", *([home] if is_open else [])}


def test_is_within_resolves_symlinks(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert is_within(tmp_path / "link" / "file", [tmp_path / "real"])
    assert is_within(tmp_path / "real", [tmp_path / "link"])
    assert not is_within(tmp_path, [tmp_path / "real"])
    assert not is_within(tmp_path / "realm", [tmp_path / "real"])
