"""A browser and an orchestrator, which the tests of a file share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from integration.web.browser import ADMIN, Browser, chromium, program
from integration.web.scenes import write_model

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def driven() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def browser(driven: Browser) -> Browser:
    driven.go("about:blank")
    driven.resize(1200, 900)
    driven.dark(on=False)
    return driven


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = write_model(tmp_path_factory.mktemp("model"))
    with program("orchestrator", "--port", "0", "--llm", model, environment=ADMIN) as running:
        yield running.wait_for(r"listening on (http://\S+)")
