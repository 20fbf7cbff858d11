"""Caches that commands can't write to are moved below the temporary folder; all others stay."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from support.users import AS_OTHER_USER, UNPRIVILEGED, home_of
from trioworker import run_job
from trioworker.testing import DONE, SimulatedOrchestrator, call
from trioworker.worker.processes.cache_folders import with_writable_caches

CACHES = {"XDG_CACHE_HOME", "npm_config_cache", "MPLCONFIGDIR"}
UNUSABLE = "/etc/passwd/folder"
"""Not even root can create it."""
DATA = {"PYTHONUSERBASE", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    return {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path / "tmp"), "PATH": "/bin"}


def outside_home(path: Path) -> bool:
    """Like a sandbox in which the home folder is not writable."""
    return "home" not in path.parts


def test_writable_home_keeps_its_caches(environment: dict[str, str]) -> None:
    assert with_writable_caches(environment, lambda _: True) == environment
    assert os.listdir(environment["TMPDIR"]) == []


def test_home_that_is_not_writable_moves_caches_to_a_private_folder(environment: dict[str, str]) -> None:
    changed = with_writable_caches(environment, outside_home)
    assert changed.keys() - environment.keys() == CACHES | DATA
    base = Path(environment["TMPDIR"]) / f"trioworker-cache-{os.getuid()}"
    assert {Path(changed[name]).parent for name in CACHES | DATA} == {base}
    assert stat.S_IMODE(base.stat().st_mode) == 0o700
    assert changed["PATH"] == f"/bin:{changed['PYTHONUSERBASE']}/bin"


def test_missing_home_moves_caches(environment: dict[str, str]) -> None:
    changed = with_writable_caches({**environment, "HOME": UNUSABLE}, lambda _: True)
    assert changed.keys() >= CACHES | DATA


def test_existing_data_folder_is_kept_when_caches_move(environment: dict[str, str]) -> None:
    for folder in (".cache", ".config", ".local/lib", ".local/share", ".local/state"):
        (Path(environment["HOME"]) / folder).mkdir(parents=True)
    changed = with_writable_caches(environment, outside_home)
    assert changed.keys() - environment.keys() == CACHES


def test_cache_that_is_set_moves_only_if_it_cannot_be_written(environment: dict[str, str]) -> None:
    given = {"XDG_CACHE_HOME": environment["TMPDIR"], "NPM_CONFIG_CACHE": UNUSABLE, "XDG_DATA_HOME": UNUSABLE}
    changed = with_writable_caches({**environment, **given}, outside_home)
    assert changed["XDG_CACHE_HOME"] == environment["TMPDIR"]
    assert changed["XDG_DATA_HOME"] == UNUSABLE
    assert "NPM_CONFIG_CACHE" not in changed
    assert changed["npm_config_cache"].startswith(environment["TMPDIR"])


@pytest.mark.parametrize("taken", ["wide", "link", "dangling", "file"])
def test_folder_that_others_may_write_is_not_used(environment: dict[str, str], tmp_path: Path, taken: str) -> None:
    base = Path(environment["TMPDIR"]) / f"trioworker-cache-{os.getuid()}"
    if taken == "wide":
        base.mkdir()
        base.chmod(0o777)
    elif taken == "file":
        base.touch()
    else:
        base.symlink_to(tmp_path if taken == "link" else tmp_path / "missing")
    moved = Path(with_writable_caches(environment, outside_home)["XDG_CACHE_HOME"]).parent
    assert moved != base
    assert stat.S_IMODE(moved.stat().st_mode) == 0o700


def test_nothing_moves_if_there_is_no_temporary_folder(environment: dict[str, str]) -> None:
    without = {**environment, "TMPDIR": UNUSABLE}
    assert with_writable_caches(without, outside_home) == without


async def test_command_of_a_job_can_write_its_caches(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", UNUSABLE)
    monkeypatch.setenv("TMPDIR", str(workspace.parent))
    command = (
        'for folder in "$XDG_CACHE_HOME" "$npm_config_cache" "$MPLCONFIGDIR" "$PYTHONUSERBASE"; '
        'do mkdir -p "$folder" && touch "$folder/x" && echo wrote; done'
    )
    world = SimulatedOrchestrator([call("shell", command=command), DONE], thinking=0.0)
    await run_job(world.config(workspace), transport=world)
    (answer,) = [message for message in world.conversations()[-1] if message["role"] == "tool"]
    assert answer["content"].count("wrote") == 4


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_home_of_another_user_moves_caches(environment: dict[str, str]) -> None:
    Path(environment["HOME"]).chmod(0o700)
    with home_of(AS_OTHER_USER) as folder:
        os.setresuid(UNPRIVILEGED, UNPRIVILEGED, 0)
        try:
            changed = with_writable_caches({**environment, "TMPDIR": str(folder)}, lambda _: True)
        finally:
            os.setresuid(0, 0, 0)
    assert changed.keys() >= CACHES | DATA
