"""Whole jobs with the embedded orchestrator and a strict provider, in one process and in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from support import odd_replies
from support.embedded import run_job_with
from support.odd_replies import CALL, DONE, Case
from support.strict_provider import Answer, StrictProvider, calls, fails
from trioworker.orchestrator.backends.openai import OpenAIBackend

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from support.tools import Log
    from trioworker import JobOutcome


def cases(table: dict[str, Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", table.values(), ids=table.keys())


async def job(provider: StrictProvider, workspace: Path, *prompts: str, **options: Any) -> tuple[JobOutcome, Log]:
    backend = OpenAIBackend("http://provider.test/v1", "strict", transport=provider)
    return await run_job_with(backend, workspace, *prompts, **options)


async def ends_well(case: Case, workspace: Path) -> StrictProvider:
    provider = case.provider()
    outcome, log = await job(provider, workspace)

    assert provider.refusals == []
    assert (outcome.status, outcome.message) == ("completed", "All is well. The job is complete.")
    assert case.runs is None or log.texts == list(case.runs)
    assert provider.limited == case.limited or (case.limited is None and provider.limited)
    return provider


@cases(odd_replies.THOUGHTS)
async def test_a_job_with_thoughts_completes(case: Case, workspace: Path, autojump_clock: MockClock) -> None:
    await ends_well(case, workspace)


@cases(odd_replies.MARKUP)
async def test_a_job_with_calls_as_text_completes(case: Case, workspace: Path, autojump_clock: MockClock) -> None:
    await ends_well(case, workspace)


@cases(odd_replies.NAMES)
async def test_a_job_with_a_bad_name_completes(case: Case, workspace: Path, autojump_clock: MockClock) -> None:
    await ends_well(case, workspace)


@cases(odd_replies.ARGUMENT_FORMS)
async def test_a_job_with_odd_arguments_completes(case: Case, workspace: Path, autojump_clock: MockClock) -> None:
    await ends_well(case, workspace)


@cases(odd_replies.FORMS)
async def test_a_job_with_an_odd_reply_completes(case: Case, workspace: Path, autojump_clock: MockClock) -> None:
    await ends_well(case, workspace)


@cases(odd_replies.ERRORS)
async def test_a_job_with_a_transient_error_completes(case: Case, workspace: Path, autojump_clock: MockClock) -> None:
    await ends_well(case, workspace)


@cases(odd_replies.LIMITS)
async def test_a_job_within_the_providers_limits_completes(
    case: Case, workspace: Path, autojump_clock: MockClock
) -> None:
    await ends_well(case, workspace)


async def test_follow_ups_are_not_two_user_messages_in_a_row(workspace: Path, autojump_clock: MockClock) -> None:
    provider = StrictProvider([calls(CALL), DONE])
    outcome, _ = await job(provider, workspace, "First this.", "Then that.")

    assert provider.refusals == []
    assert outcome.status == "completed"


@pytest.mark.parametrize("mode", ["single", "two-phase"])
async def test_the_thoughts_of_each_turn_go_back(mode: str, workspace: Path, autojump_clock: MockClock) -> None:
    answers = [calls(CALL, ids=[f"c{n}"], reasoning_content=f"thought {n}") for n in range(3)]
    provider = StrictProvider([*answers, DONE])
    outcome, _ = await job(provider, workspace, reasoning=mode)

    said = [message for message in provider.requests[-1]["messages"] if message["role"] == "assistant"]
    assert [message["reasoning_content"] for message in said[:3]] == ["thought 0", "thought 1", "thought 2"]
    assert outcome.status == "completed"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            fails(401, "Incorrect API key provided.", code="invalid_api_key"),
            "the model server requires an API key in OPENAI_API_KEY (401): Incorrect API key provided.",
        ),
        (fails(403, "No access."), "the model server denied permission (403): No access."),
        (
            fails(404, "The model `strict` does not exist"),
            "the model server does not know the model or the path (404): The model `strict` does not exist",
        ),
        (fails(400, "Invalid image."), "the model server refused the request (400): Invalid image."),
        (
            fails(402, "Insufficient Balance"),
            "the quota or credits at the model server are used up (402): Insufficient Balance",
        ),
        (
            fails(429, "You exceeded your current quota.", code="insufficient_quota"),
            "the quota or credits at the model server are used up (429): You exceeded your current quota.",
        ),
        (
            Answer(body=b'{"error": {"message": "Insufficient credits", "code": 402}}'),
            "the quota or credits at the model server are used up (402): Insufficient credits",
        ),
    ],
)
async def test_permanent_error_fails_the_job_at_once_with_the_servers_message(
    answer: Answer, reason: str, workspace: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    provider = StrictProvider([answer])
    outcome, _ = await job(provider, workspace)

    assert len(provider.requests) == 1
    assert (outcome.status, outcome.message) == ("failed", f"Execution failed: {reason}")
