"""Ray's files in a folder of their own. Without Ray, the tests are skipped."""

from __future__ import annotations

import shutil
import tempfile
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True, scope="session")
def _ray_folder() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed here: run scripts/test-ray")
    # Not `tmp_path`: the paths of Ray's sockets must be short.
    folder = tempfile.mkdtemp(prefix="ray-")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # On a busy machine, the processes of Ray start slowly.
        patch.setenv("RAY_worker_register_timeout_seconds", "600")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield
    shutil.rmtree(folder, ignore_errors=True)
