"""Test files for sessions of pytest with the plugin of `trioworker.testing`, and what such sessions print."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    Run = Callable[..., pytest.RunResult]
    """Runs a test file, with arguments for pytest."""

PLUGIN = "trioworker.testing.pytest_plugin"
TRIO = ("-p", "pytest_trio.plugin", "-o", "trio_mode=true")
POOL = """
    import pytest
    import trio

    class Pool:
        def __init__(self):
            self.free = 2

        async def use(self):
            self.free -= 1
            await trio.sleep(1)  # a cancel here loses the connection
            try:
                await trio.sleep(1)
            finally:
                self.free += 1
"""
LEAK = f"""{POOL}
    @pytest.mark.cancel_matrix
    async def test_pool():
        pool = Pool()
        try:
            await pool.use()
        finally:
            assert pool.free == 2
"""
PASSES = """
    import pytest
    import trio

    @pytest.mark.cancel_matrix
    async def test_sleep():
        await trio.sleep(1)
"""


def failed(result: pytest.RunResult) -> list[str]:
    """The headlines of the failing subtests."""
    return re.findall(r"^SUBFAILED\[(.+?)\] test_it\.py", result.stdout.str(), re.MULTILINE)
