"""Which rights a ruleset of each version denies; `tests/worker/processes/sandbox` tries them on this kernel."""

from __future__ import annotations

import pytest

from trioworker.linux.landlock import IOCTL_DEV, MAX_VERSION, REFER, RESOLVE_UNIX, TRUNCATE, WRITE_FILE, handled_rights


@pytest.mark.parametrize(
    ("right", "since"), [(WRITE_FILE, 1), (REFER, 2), (TRUNCATE, 3), (IOCTL_DEV, 5), (RESOLVE_UNIX, 9)]
)
def test_a_right_is_denied_from_the_version_that_introduced_it(right: int, since: int) -> None:
    denied = [version for version in range(1, MAX_VERSION + 1) if handled_rights(version) & right]
    assert denied == list(range(since, MAX_VERSION + 1))
