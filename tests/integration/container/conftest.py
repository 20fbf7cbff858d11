"""Builds the image once, and runs it as root and as an ordinary user."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from integration.container.commands import MissingError, SlowError
from integration.container.engine import Engine, rootless_engine
from integration.container.image import IMAGE, base_image, build
from integration.container.machine import namespace_without_cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator


class Image(NamedTuple):
    """The built image: `own` is this user's podman, `prefix` comes before each command."""

    own: Engine
    prefix: tuple[str, ...]


@pytest.fixture(scope="session")
def image() -> Iterator[Image]:
    """The image; base image and layers are kept for the next run."""
    missing = [name for name in ("podman", "buildah") if not shutil.which(name)]
    if missing:
        pytest.skip(f"needs {' and '.join(missing)}; Debian: apt-get install podman buildah crun debootstrap")
    name = "rootful" if os.geteuid() == 0 else "rootless"
    with ExitStack() as stack:
        # Two runs at a time would share the image's name and the ordinary user.
        lock = stack.enter_context(Path(tempfile.gettempdir(), "trioworker-container-tests.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            base = base_image()
            prefix: tuple[str, ...] = ()
            own = Engine(name, ("podman",)).with_options(base)
            if own is None:
                prefix = stack.enter_context(namespace_without_cgroups())
                own = Engine(name, (*prefix, "podman")).with_options(base)
            if own is None:
                pytest.skip("podman can't run a container here, even in a mount namespace without the host's cgroups")
            build(prefix, base)
        except (MissingError, SlowError) as error:  # slow is the network or a busy machine, not the image
            pytest.skip(str(error))
        yield Image(own, prefix)


@pytest.fixture(scope="session", params=["rootful", "rootless"])
def engine(image: Image, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Podman that has the image, as root or as an ordinary user."""
    if request.param == image.own.name:
        yield image.own
    elif request.param == "rootful":
        pytest.skip("needs root")
    else:
        with ExitStack() as stack:
            try:
                engine = stack.enter_context(rootless_engine(image.prefix, IMAGE))
            except MissingError as error:
                pytest.skip(str(error))
            yield engine
