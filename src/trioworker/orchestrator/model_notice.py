"""What `trioworker orchestrator` says about its model when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trioworker.orchestrator.backends.factory import SPEC_FORMS, NoBackend
from trioworker.orchestrator.backends.model_check import UnreachableModelServerError, check_model

if TYPE_CHECKING:
    from trioworker.orchestrator.backends.base import Backend


async def model_notice(backend: Backend) -> str | None:
    """One line about a model that is missing, or may be wrong; None if there is nothing to say.

    A model server that can't be reached is not an error here: it may be started after the orchestrator.

    Raises:
        ConfigError: see `check_model`.
    """
    if isinstance(backend, NoBackend):
        return f"no model: each request to the model fails, and with it the job; restart with --llm: {SPEC_FORMS}"
    try:
        return await check_model(backend)
    except UnreachableModelServerError as error:
        return f"{error}; jobs wait until it answers"
