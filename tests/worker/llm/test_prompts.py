"""The prompts that open a conversation, and the notes on the limits."""

from __future__ import annotations

import msgspec
import pytest

from trioworker.protocol.limits import MAX_PROMPT_BYTES
from trioworker.protocol.wire import JobDescription
from trioworker.worker.llm.loop_detection import COMPLETION_PHRASE
from trioworker.worker.llm.prompts import environment, environment_of, job_prompt, seconds_left, system_prompt
from trioworker.worker.llm.surroundings import Surroundings

JOB = JobDescription(title="Fix the parser", description="It crashes on `</job>` & on empty lines.\nFix it.")
AROUND = Surroundings(
    system="Debian GNU/Linux 12 (bookworm), x86_64",
    user="worker",
    date="2031-05-06",
    workspace="/workspace",
    writable=("/workspace", "/tmp"),
    sandbox="landlock 7, no_new_privs, limits",
    max_iterations=40,
    timeout=590.0,
    token_budget=250_000,
)


def test_system_message_states_the_machine_and_every_limit() -> None:
    prompt = system_prompt(environment(AROUND))
    for fact in (
        "Debian GNU/Linux 12 (bookworm), x86_64",
        "2031-05-06",
        "User: worker",
        "Workspace: /workspace",
        "only below these folders: /workspace, /tmp",
        "landlock 7, no_new_privs, limits",
        "40 iterations",
        "590 s",
        "250000 tokens",
    ):
        assert fact in prompt


def test_system_message_says_how_calls_behave_and_how_to_end() -> None:
    prompt = system_prompt(environment(AROUND))
    assert "in the order given" in prompt
    assert "processes started in the background with `&`" in prompt
    assert "`cd` and shell variables do not" in prompt
    assert f'"{COMPLETION_PHRASE}."' in prompt
    assert '"The job cannot be completed: REASON."' in prompt


def test_commands_without_a_sandbox_can_write_where_the_user_can() -> None:
    assert "can write wherever the user worker can" in environment(msgspec.structs.replace(AROUND, writable=()))


def test_budget_is_not_mentioned_when_there_is_none() -> None:
    assert "tokens" not in environment(msgspec.structs.replace(AROUND, token_budget=None))


def test_environment_is_found_in_the_system_message() -> None:
    facts = environment(AROUND)
    assert environment_of(system_prompt(facts)) == facts
    assert environment_of("You are an agent.\n\n# Environment\n\nBare.") is None


def test_first_user_message_is_the_job() -> None:
    assert job_prompt(JOB) == f"{JOB.title}\n\n{JOB.description}"


@pytest.mark.parametrize("title", ["", "Fix it", "Fix it."])
def test_title_that_the_description_contains_is_not_repeated(title: str) -> None:
    assert job_prompt(JobDescription(title=title, description="Fix it. Now.")) == "Fix it. Now."


def test_prompt_of_a_huge_job_is_cut() -> None:
    vast = JobDescription(title="t" * 5_000_000, description="d\u00e9" * 5_000_000)
    assert len(job_prompt(vast).encode()) <= MAX_PROMPT_BYTES + 3


@pytest.mark.parametrize(("left", "text"), [(147.0, 148), (147.6, 177), (0.5, 30), (-3.0, 30)])
def test_time_left_is_rounded_up(left: float, text: int) -> None:
    assert seconds_left(left, 590.0) == f"less than {text} s of 590 s are left"
