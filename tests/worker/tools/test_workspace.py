from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from trioworker.errors import ConfigError
from trioworker.linux.secure_open import kernel_opener, walking_opener
from trioworker.worker.tools.workspace import Workspace, display

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trioworker.linux.secure_open import Opener

ROUNDS = 300
"""Swaps of the race: enough for every order of the two threads to occur."""


@pytest.fixture(params=[kernel_opener, walking_opener, None], ids=["kernel", "walk", "chosen"])
def opener(request: pytest.FixtureRequest) -> Opener | None:
    return request.param


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    inside = tmp_path / "workspace"
    (inside / "a" / "b").mkdir(parents=True)
    (inside / "a" / "file").write_text("inside")
    return inside


@pytest.fixture
def workspace(folder: Path, opener: Opener | None) -> Iterator[Workspace]:
    with Workspace.open(folder, opener) as workspace:
        yield workspace


def content(workspace: Workspace, path: str) -> str:
    with open(workspace.open_file(path)) as file:
        return file.read()


@pytest.mark.parametrize("path", ["a/file", "./a/file", "a//file", "a/b/../file", "a/./b/.././file"])
def test_path_inside_is_opened(workspace: Workspace, path: str) -> None:
    assert content(workspace, path) == "inside"


def test_absolute_path_inside_is_opened(workspace: Workspace) -> None:
    assert content(workspace, str(workspace.root / "a" / "file")) == "inside"
    os.close(workspace.open_directory(str(workspace.root)))


def test_root_may_be_named_through_a_link(folder: Path, opener: Opener | None) -> None:
    alias = folder.parent / "alias"
    alias.symlink_to(folder)
    with Workspace.open(alias, opener) as workspace:
        assert content(workspace, str(alias / "a" / "file")) == "inside"
        assert content(workspace, str(folder / "a" / "file")) == "inside"


@pytest.mark.parametrize(
    "path",
    [
        "..",
        "../outside/secret",
        "a/../../outside/secret",
        "/etc/passwd",
        "/proc/self/root/etc/passwd",
        "a/b/../../../workspace/a/file",
    ],
)
def test_path_that_leads_outside_is_refused(workspace: Workspace, path: str) -> None:
    with pytest.raises(OSError, match="cross-device"):
        workspace.open_file(path)


def test_folder_whose_name_starts_alike_is_outside(workspace: Workspace) -> None:
    neighbour = workspace.root.with_name("workspace2")
    neighbour.mkdir()
    (neighbour / "file").write_text("other")
    with pytest.raises(OSError, match="cross-device"):
        workspace.open_file(str(neighbour / "file"))


@pytest.mark.parametrize(
    "target",
    ["../outside/secret", "/etc/passwd", "/proc/self/root/etc/passwd", "/proc/self/cwd", "a/../../outside/secret"],
)
def test_link_that_leads_outside_is_refused(workspace: Workspace, target: str) -> None:
    (workspace.root / "link").symlink_to(target)
    with pytest.raises(OSError, match=r"cross-device|symbolic links"):
        workspace.open_file("link")


def test_linked_folder_that_leads_outside_is_refused(workspace: Workspace) -> None:
    (workspace.root / "link").symlink_to("../outside")
    with pytest.raises(OSError, match="cross-device"):
        workspace.open_file("link/secret")
    with pytest.raises(OSError, match="cross-device"), workspace.parent("link/new", create=True):
        pass


def test_link_that_stays_inside_is_followed(workspace: Workspace) -> None:
    (workspace.root / "relative").symlink_to("a/b/../file")
    (workspace.root / "absolute").symlink_to(workspace.root / "a" / "file")
    (workspace.root / "folder").symlink_to("a")
    (workspace.root / "chain").symlink_to("folder/../relative")
    for path in ("relative", "absolute", "folder/file", "chain"):
        assert content(workspace, path) == "inside"


def test_circular_links_are_an_error(workspace: Workspace) -> None:
    (workspace.root / "one").symlink_to("two")
    (workspace.root / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links"):
        workspace.open_file("one")
    with pytest.raises(OSError, match="symbolic links"), workspace.parent("one"):
        pass


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("none", FileNotFoundError),
        ("none/file", FileNotFoundError),
        ("a/file/x", NotADirectoryError),
        ("a/file/", NotADirectoryError),
        ("x" * 300, OSError),
        ("x/" * 3000, OSError),
        ("\ud800", FileNotFoundError),
    ],
)
def test_invalid_path_is_an_os_error(workspace: Workspace, path: str, error: type[OSError]) -> None:
    with pytest.raises(error):
        workspace.open_file(path)


def test_file_is_not_opened_as_a_directory(workspace: Workspace) -> None:
    with pytest.raises(NotADirectoryError):
        workspace.open_directory("a/file")


def test_missing_parents_are_created(workspace: Workspace) -> None:
    with workspace.parent("x/y/z/new", create=True) as (descriptor, name):
        assert name == b"new"
        assert os.path.samestat(os.fstat(descriptor), (workspace.root / "x/y/z").stat())


def test_parents_behind_a_dangling_link_are_not_created(workspace: Workspace) -> None:
    (workspace.root / "dangling").symlink_to("../outside/new")
    with pytest.raises(OSError), workspace.parent("dangling/deep/file", create=True):  # noqa: PT011 - which, depends on the kernel
        pass
    assert not (workspace.root.parent / "outside" / "new").exists()


def test_very_many_missing_parents_do_not_crash(workspace: Workspace) -> None:
    # Deeper folders would exhaust the stack of the clean-up of the temporary folder.
    with workspace.parent("d/" * 400 + "f", create=True) as (_, name):
        assert name == b"f"


@pytest.mark.parametrize("path", ["", ".", "..", "a/..", "a/"])
def test_path_of_a_folder_has_no_parent_and_name(workspace: Workspace, path: str) -> None:
    with pytest.raises(OSError), workspace.parent(path):  # noqa: PT011 - EISDIR or EXDEV
        pass


def test_parent_is_that_of_the_links_target(workspace: Workspace) -> None:
    (workspace.root / "link").symlink_to("a/file")
    (workspace.root / "absolute").symlink_to(workspace.root / "a" / "file")
    for path in ("link", "absolute"):
        with workspace.parent(path) as (descriptor, name):
            assert name == b"file"
            assert os.path.samestat(os.fstat(descriptor), (workspace.root / "a").stat())


def test_race_does_not_lead_outside(workspace: Workspace) -> None:
    """A folder is swapped for a link to the outside, again and again, while it is opened."""
    root = workspace.root
    (root / "real").mkdir()
    (root / "real" / "secret").write_text("inside")
    (root / "link").symlink_to("../outside")
    done = threading.Event()

    def swap() -> None:
        for _ in range(ROUNDS):
            for name in ("real", "link"):
                with suppress(OSError):
                    os.rename(root / name, root / "door")
                    os.rename(root / "door", root / name)
        done.set()

    thread = threading.Thread(target=swap)
    thread.start()
    seen: set[str] = set()
    try:
        while not done.is_set():
            with suppress(OSError):
                seen.add(content(workspace, "door/secret"))
            with suppress(OSError), workspace.parent("door/new", create=True) as (descriptor, _):
                assert not os.path.samestat(os.fstat(descriptor), (root.parent / "outside").stat())
    finally:
        thread.join()
    assert seen <= {"inside"}


COMPOSED, DECOMPOSED = "caf\u00e9/r\u00e9sum\u00e9", "cafe\u0301/re\u0301sume\u0301"


@pytest.mark.parametrize("stored", [COMPOSED, DECOMPOSED, "caf\u00e9/re\u0301sume\u0301"])
@pytest.mark.parametrize("given", [COMPOSED, DECOMPOSED, f"a/../{DECOMPOSED}"])
def test_name_in_another_normal_form_opens_the_file(workspace: Workspace, stored: str, given: str) -> None:
    path = workspace.root / stored
    path.parent.mkdir()
    path.write_text("found")
    assert content(workspace, given) == "found"
    os.close(workspace.open_directory(os.path.dirname(given)))
    with workspace.parent(given, create=True) as (descriptor, name):
        assert os.path.samestat(os.stat(name, dir_fd=descriptor), path.stat())


def test_exact_name_is_preferred_to_another_normal_form(workspace: Workspace) -> None:
    (workspace.root / "\u00e9").write_text("composed")
    (workspace.root / "e\u0301").write_text("decomposed")
    assert content(workspace, "\u00e9") == "composed"
    assert content(workspace, "e\u0301") == "decomposed"


def test_new_file_keeps_the_normal_form_that_was_given(workspace: Workspace) -> None:
    with workspace.parent("e\u0301/\u00e9", create=True) as (_, name):
        assert name == "\u00e9".encode()
    assert "e\u0301" in os.listdir(workspace.root)


def test_normal_forms_do_not_lead_outside(workspace: Workspace) -> None:
    (workspace.root / "\u00e9").symlink_to("../outside")
    with pytest.raises(OSError, match=r"cross-device|No such file"):
        workspace.open_file("e\u0301/secret")


def test_closed_workspace_opens_nothing(workspace: Workspace) -> None:
    workspace.close()
    workspace.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        workspace.open_file("a/file")


def test_no_descriptor_is_left_open(folder: Path, opener: Opener | None) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "out").symlink_to("/etc")
    before = len(os.listdir("/proc/self/fd"))
    with Workspace.open(folder, opener) as workspace:
        for path in ("a/file", "a/b/../none", "loop", "out/passwd", "..", "a/file/x"):
            with suppress(OSError):
                content(workspace, path)
            with suppress(OSError), workspace.parent(path, create=True):
                pass
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["none", "file"])
def test_workspace_that_is_not_a_directory_is_a_configuration_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=rf"workspace .*{name}: .*director"):
        Workspace.open(tmp_path / name)


def test_paths_are_shown_relative_and_valid(workspace: Workspace) -> None:
    assert workspace.shown("./a//b/../file") == "a/file"
    assert workspace.shown(str(workspace.root / "a")) == "a"
    assert workspace.shown("") == "."
    assert workspace.shown("/etc/passwd") == "/etc/passwd"
    assert workspace.shown("x\udce9") == "x\ufffd"


def test_any_name_can_be_displayed() -> None:
    assert display("plain") == "plain"
    assert display("ä\udcff\ud800") == "ä\ufffd\ufffd"
