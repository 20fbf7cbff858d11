"""Thoughts in a model's text are neither its answer nor calls, unless their tags are quoted."""

from __future__ import annotations

import pytest

from support.replies import COMPLETE, context, markup, text
from trioworker.worker.llm.call_markup import clean, recover_calls
from trioworker.worker.llm.interpretation import interpret

FORMS = [
    "<think>{}</think>",
    "<thinking>{}</thinking>",
    "<thought>{}</thought>",
    "<reasoning>{}</reasoning>",
    '<reasoning effort="high">\n{}\n</reasoning>',
    "<THINK>{}</think >",
    "<|think|>{}<|/think|>",
    "<|thinking|>{}<|/thinking|>",
    "{}</think>",
    "{}<|/thinking|>",
    "<|channel|>analysis<|message|>{}<|end|>",
    "<|start|>assistant<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>",
]


@pytest.mark.parametrize("form", FORMS)
def test_thought_is_not_part_of_the_text(form: str) -> None:
    interpretation = interpret(text(form.format(COMPLETE) + "I look around."), context())
    assert interpretation.text == "I look around."
    assert interpretation.finished is None


@pytest.mark.parametrize("form", FORMS)
def test_failure_in_a_thought_does_not_fail_the_job(form: str) -> None:
    assert interpret(text(form.format("The job cannot be completed.") + "\n"), context()).failed is None


@pytest.mark.parametrize("form", FORMS)
def test_call_in_a_thought_is_not_run(form: str) -> None:
    recovery = recover_calls(
        form.format(f"I might {markup('shell')}.") + markup("read_file"), ("shell", "read_file"), ()
    )
    assert [call.name for call in recovery.calls] == ["read_file"]
    assert recovery.has_thoughts


@pytest.mark.parametrize(
    "quoted",
    [
        "`<think>`a`</think>`",
        "```\n<think>\n```\nThen it answers.\n```\n</think>\n```",
        "> I plan.\n> </think>\n> Done.",
        "The channel is `<|channel|>analysis<|message|>`.",
    ],
)
def test_quoted_tags_of_thoughts_are_left_unchanged(quoted: str) -> None:
    recovery = recover_calls(quoted, (), ())
    assert (recovery.rest, recovery.has_thoughts) == (quoted, False)


def test_code_in_a_thought_does_not_hide_its_end() -> None:
    assert clean("<think>```\nnever closed</think>Answer.") == "Answer."


def test_final_channel_is_text() -> None:
    assert clean("<|channel|>final<|message|>Done.<|return|>") == "Done."
    assert clean("<|start|>assistant<|channel|>commentary<|message|>I look.<|end|>") == "I look."


def test_tokens_of_channels_in_a_text_without_channels_are_left_unchanged() -> None:
    assert clean("a <|end|> b") == "a <|end|> b"


def test_text_before_an_unclosed_thought_is_kept() -> None:
    assert interpret(text("I look. <think>Or not"), context()).text == "I look."


def test_line_after_a_thought_may_start_a_quotation() -> None:
    quoted = f"```\n{markup()}\n```"
    assert clean(f"I plan.</think>{quoted}") == quoted
