"""A certificate authority for the tests of connections with TLS."""

from __future__ import annotations

import pytest

from support.tls import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One for all tests; a test that trusts it sets a variable."""
    return Authority(tmp_path_factory.mktemp("authority"))
