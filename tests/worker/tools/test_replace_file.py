"""File attributes that an edit preserves, and files that can't be replaced by a rename."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from trioworker.errors import ToolError
from trioworker.worker.tools.files import replace_file
from trioworker.worker.tools.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can change the owner of files")
ACCESS_LIST = "system.posix_acl_access"
# Version 2, then entries of tag, permissions and id: owner rw, user 4711 r, group r, mask r, others none.
ACCESS_LIST_VALUE = bytes.fromhex(
    "0200000001000600ffffffff020004006712000004000400ffffffff10000400ffffffff20000000ffffffff"
)
REPLACE = (
    "import os, sys\n"
    "from pathlib import Path\n"
    "from trioworker.errors import ToolError\n"
    "from trioworker.worker.tools.files import replace_file\n"
    "from trioworker.worker.tools.workspace import Workspace\n"
    "workspace = Workspace.open(Path(sys.argv[1]))\n"
    "if os.getuid() == 0 and sys.argv[2] == 'as-user': os.setgid(1000); os.setuid(1000)\n"
    "try: replace_file(workspace, 'file', b'new')\n"
    "except ToolError as error: print(error)\n"
)


@pytest.fixture
def file(root: Path) -> Path:
    path = root / "file"
    path.write_text("old and longer")
    return path


def replace(file: Path, data: bytes = b"new") -> None:
    with Workspace.open(file.parent) as workspace:
        replace_file(workspace, file.name, data)


def set_attribute(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except OSError as error:
        pytest.skip(f"this file system takes no {name}: {error}")


def replaced_by_a_user(root: Path) -> str:
    """Replace the file as user 1000, and return the error."""
    return run_python([str(root), "as-user"])


def run_python(arguments: list[str], *before: str) -> str:
    command = [*before, sys.executable, "-c", REPLACE, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=60).stdout


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o4711])
def test_mode_is_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    replace(file)
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.read_text() == "new"


@as_root
def test_owner_is_kept(file: Path) -> None:
    os.chown(file, 1234, 5678)
    file.chmod(0o6755)
    replace(file)
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 5678, 0o6755)


@as_root
def test_set_id_bits_are_kept_when_a_user_edits_the_file(file: Path, root: Path) -> None:
    os.chown(root, 1000, 1000)
    os.chown(file, 1000, 1000)
    file.chmod(0o6755)
    assert replaced_by_a_user(root) == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o6755
    assert file.read_text() == "new"


def test_extended_attributes_are_kept(file: Path) -> None:
    set_attribute(file, "user.origin", b"here")
    replace(file)
    assert os.getxattr(file, "user.origin") == b"here"


def test_access_list_is_kept(file: Path) -> None:
    set_attribute(file, ACCESS_LIST, ACCESS_LIST_VALUE)
    before = file.stat().st_mode
    replace(file)
    assert os.getxattr(file, ACCESS_LIST) == ACCESS_LIST_VALUE
    assert file.stat().st_mode == before


def test_file_gets_no_access_list_from_its_folder(file: Path, root: Path) -> None:
    set_attribute(root, "system.posix_acl_default", ACCESS_LIST_VALUE)
    replace(file)
    assert ACCESS_LIST not in os.listxattr(file)


def test_hard_links_are_kept(file: Path, root: Path) -> None:
    (root / "other").hardlink_to(file)
    replace(file)
    assert (root / "other").read_text() == "new"
    assert (root / "other").samefile(file)


@as_root
def test_file_of_another_owner_is_written_in_place(file: Path, root: Path) -> None:
    file.chmod(0o666)
    root.chmod(0o777)
    number = file.stat().st_ino
    assert replaced_by_a_user(root) == ""
    found = file.stat()
    assert (found.st_uid, found.st_ino, file.read_text()) == (0, number, "new")
    assert os.listdir(root) == ["file"]


@as_root
@pytest.mark.parametrize("mode", [0o600, 0o200])
def test_file_in_a_folder_without_write_permission_is_written_in_place(file: Path, root: Path, mode: int) -> None:
    os.chown(file, 1000, 1000)
    file.chmod(mode)
    root.chmod(0o755)
    assert replaced_by_a_user(root) == ""
    assert file.read_text() == "new"


@as_root
def test_read_only_file_is_not_replaced(file: Path, root: Path) -> None:
    os.chown(file, 1000, 1000)
    file.chmod(0o444)
    root.chmod(0o777)
    assert replaced_by_a_user(root) == "cannot write file: permission denied\n"
    assert file.read_text() == "old and longer"


@as_root
def test_bind_mounted_file_is_written_in_place(file: Path, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("old")
    mount = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$1" || exit 77; shift; exec "$@"']
    try:
        shown = run_python([str(root), "as-root"], *mount, str(outside), str(file))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"mounts are denied here: {error.stderr}")
    assert shown == ""
    assert outside.read_text() == "new"
    assert os.listdir(root) == ["file"]


def test_refused_write_in_place_leaves_the_old_content(file: Path, root: Path) -> None:
    (root / "other").hardlink_to(file)
    with file_size_limit(4096), pytest.raises(ToolError, match="cannot write file: file too large"):
        replace(file, b"x" * 10_000)
    assert file.read_text() == "old and longer"


@contextmanager
def file_size_limit(limit: int) -> Generator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o604])
def test_temporary_file_never_has_wider_permissions_than_its_target(file: Path, root: Path, mode: int) -> None:
    file.chmod(mode)
    modes: list[int] = []

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if event in {"os.chmod", "os.rename"} and watching:
            modes.extend(stat.S_IMODE(path.stat().st_mode) for path in root.glob(".trioworker-*"))

    watching = True
    sys.addaudithook(look)
    replace(file)
    watching = False
    assert modes == [0o600, mode]
