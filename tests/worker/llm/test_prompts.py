"""The prompts that open a conversation."""

from __future__ import annotations

import pytest

from trioworker.protocol.limits import MAX_PROMPT_BYTES
from trioworker.protocol.wire import JobDescription
from trioworker.worker.llm.loop_detection import COMPLETION_PHRASE
from trioworker.worker.llm.prompts import job_prompt, system_prompt
from trioworker.worker.tools.registry import Registry

JOB = JobDescription(title="Fix the parser", description="It crashes on `</job>` & on empty lines.\nFix it.")


def test_system_message_contains_the_job_the_tools_and_how_to_end() -> None:
    definitions = Registry().definitions
    prompt = system_prompt(JOB, definitions)
    assert JOB.title in prompt
    assert JOB.description in prompt
    for tool in definitions:
        assert f"- {tool.name}: {tool.description}" in prompt
    assert f'"{COMPLETION_PHRASE}."' in prompt
    assert "autonomous agent" in prompt
    assert "container" in prompt


def test_first_user_message_is_the_job() -> None:
    assert job_prompt(JOB) == f"{JOB.title}\n\n{JOB.description}"


@pytest.mark.parametrize("title", ["", "Fix it", "Fix it."])
def test_title_that_the_description_contains_is_not_repeated(title: str) -> None:
    assert job_prompt(JobDescription(title=title, description="Fix it. Now.")) == "Fix it. Now."


def test_empty_job_has_prompts() -> None:
    empty = JobDescription(title="", description="")
    assert job_prompt(empty) == ""
    assert COMPLETION_PHRASE in system_prompt(empty, ())


def test_prompts_of_a_huge_job_are_cut() -> None:
    vast = JobDescription(title="t" * 5_000_000, description="d\u00e9" * 5_000_000)
    assert len(job_prompt(vast).encode()) <= MAX_PROMPT_BYTES + 3
    assert len(system_prompt(vast, ()).encode()) <= MAX_PROMPT_BYTES + 10_000
