"""Providers' messages about the context's length and `max_tokens`, as they word them."""

from __future__ import annotations

import pytest

from linear_time import assert_linear
from trioworker.worker.client.provider_words import MaxTokensTooHigh, TooLong, recognize

TOO_LONG = [
    # OpenAI
    (
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 8545 tokens. Please "
        "reduce the length of the messages.",
        8192,
    ),
    (
        "This model's maximum context length is 8192 tokens. However, you requested 24384 tokens (8000 in the "
        "messages, 16384 in the completion). Please reduce the length of the messages or completion.",
        8192,
    ),
    ("Your input exceeds the context window of this model. Please adjust your input and try again.", None),
    ('{"error": {"message": "too long", "code": "context_length_exceeded"}}', None),
    # Anthropic
    ("prompt is too long: 210000 tokens > 200000 maximum", 200_000),
    ("input length and `max_tokens` exceed context limit: 199500 + 16384 > 200000, decrease input length", 200_000),
    # Google
    ("The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
    # Mistral
    ("Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", 32_768),
    # Bedrock
    ("Input is too long for requested model.", None),
    # vLLM
    ("The decoder prompt (length 9000) is longer than the maximum model length of 8192.", 8192),
    # llama.cpp
    ("the request exceeds the available context size. try increasing the context size", None),
    ("request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it", 8192),
    # Ollama
    ("the input length exceeds the context length", None),
    ("prompt too long; exceeded max context length by 12 tokens", None),
    # LM Studio
    ("However, the model is loaded with context length of only 4096 tokens, which is not enough", 4096),
    # xAI, Copilot, Moonshot, Groq
    ("This model's maximum prompt length is 131,072 but the request contains 150,000 tokens.", 131_072),
    ("prompt token count of 70000 exceeds the limit of 64000", 64_000),
    ("Your request exceeded model token limit: 262144", 262_144),
    ("Please reduce the length of the messages or completion.", None),
]

MAX_TOKENS = [
    # OpenAI
    (
        "max_tokens is too large: 16384. This model supports at most 4096 completion tokens, whereas you provided "
        "16384.",
        4096,
    ),
    (
        "This model's maximum context length is 16385 tokens. However, you requested 16884 tokens (500 in the "
        "messages, 16384 in the completion). Please reduce the length of the messages or completion.",
        15_885,
    ),
    # OpenRouter
    (
        "This endpoint's maximum context length is 32768 tokens. However, you requested about 36384 tokens (18000 of "
        "text input, 2000 of tool input, 16384 in the output). Please reduce the length of either one",
        12_768,
    ),
    (
        "This request requires more credits, or fewer max_tokens. You requested 16384 tokens, but can only afford 5000",
        5000,
    ),
    # Anthropic
    ("max_tokens: 16384 > 8192, which is the maximum allowed number of output tokens for this model", 8192),
    ("input length and `max_tokens` exceed context limit: 190000 + 16384 > 200000, decrease input length", 10_000),
    # DeepSeek, Alibaba
    ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
    ("Range of max_tokens should be [1, 8192]", 8192),
    # Groq
    (
        "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the window",
        8192,
    ),
    # Google
    (
        "Unable to submit request because it has a maxOutputTokens value of 16384 but the supported range is from 1 "
        "(inclusive) to 8193 (exclusive).",
        8192,
    ),
    # Bedrock
    ("The maximum tokens you requested exceeds the model limit of 4096. Try again with a lower value.", 4096),
    # vLLM
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 16384. This model's maximum context length is 8192 "
        "tokens and your request has 500 input tokens (16384 > 8192 - 500).",
        7692,
    ),
    (
        "This model's maximum context length is 8192 tokens. However, you requested 16384 output tokens and your "
        "prompt contains at least 500 input tokens",
        7692,
    ),
    # text-generation-inference
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 4000 `inputs` tokens and "
        "16384 `max_new_tokens`",
        4193,
    ),
    ("max_output_tokens must be lower", None),
]

OTHER = [
    "Incorrect API key provided: sk-…",
    "The model `gpt-9` does not exist",
    "You exceeded your current quota, please check your plan and billing details.",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "Request too large for model in organization on tokens per minute (TPM): Limit 6000, Requested 20000",
    "Rate limit reached: this request would exceed the limit of 40,000 input tokens per minute",
    "upstream connect error or disconnect/reset before headers",
    "overloaded",
    "",
]


@pytest.mark.parametrize(("message", "limit"), TOO_LONG)
def test_conversation_over_the_context_is_recognized_with_its_length(message: str, limit: int | None) -> None:
    assert recognize(f"LLM error: {message}") == TooLong(limit)


@pytest.mark.parametrize(("message", "allowed"), MAX_TOKENS)
def test_refused_max_tokens_are_recognized_with_the_allowed_value(message: str, allowed: int | None) -> None:
    assert recognize(f"LLM error: {message}") == MaxTokensTooHigh(allowed)


@pytest.mark.parametrize("message", OTHER)
def test_other_message_is_not_recognized(message: str) -> None:
    assert recognize(message) is None


@pytest.mark.parametrize("unit", ["maximum context length is 1 tokens", "9", "9,999", "max_tokens [1", "1 + 1 > "])
def test_any_message_takes_linear_time(unit: str) -> None:
    assert_linear(recognize, unit)
