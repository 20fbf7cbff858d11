"""The providers' messages for a conversation that is too long, and for too large a `max_tokens`."""

from __future__ import annotations

import pytest

from linear_time import assert_linear
from trioworker.protocol.provider_errors import context_limit, kind_of, max_tokens_limit

CONTEXT_LENGTH = [
    # OpenAI, Azure, DeepSeek, vLLM.
    (
        "This model's maximum context length is 65536 tokens. However, you requested 70000 tokens (66000 in the "
        "messages, 4000 in the completion). Please reduce the length of the messages or completion.",
        65536,
    ),
    (
        "This model's maximum context length is 8,192 tokens. However, your messages resulted in 9000 tokens.",
        8192,
    ),
    ("Your input exceeds the context window of this model. Please adjust your input and try again.", None),
    ('{"error": {"message": "too long", "code": "context_length_exceeded"}}', None),
    (
        "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 41000. "
        "The input or output tokens must be reduced in order to run successfully.",
        30000,
    ),
    # Anthropic.
    ("prompt is too long: 208310 tokens > 200000 maximum", 200_000),
    (
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
        "`max_tokens` and try again",
        200_000,
    ),
    # Mistral.
    ("Prompt contains 40002 tokens and 0 draft tokens, too large for model with 32768 maximum context length", 32768),
    # vLLM.
    ("The decoder prompt (length 5000) is longer than the maximum model length of 4096.", 4096),
    (
        "You passed 7000 input tokens and requested 2048 output tokens. However, the model's context length is "
        "only 8192 tokens, resulting in a maximum input length of 6144 tokens. Please reduce the length of the input.",
        8192,
    ),
    # SGLang.
    ("The input (5000 tokens) is longer than the model's context length (4096 tokens).", 4096),
    # llama.cpp.
    ("the request exceeds the available context size. try increasing the context size", None),
    ("request (12345 tokens) exceeds the available context size (8192 tokens), try increasing it", 8192),
    (
        '{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_ctx":4096}}',
        4096,
    ),
    # Ollama.
    ("the input length exceeds the context length", None),
    ("prompt is too long; maximum context length is 4096", 4096),
    ("prompt too long; exceeded max context length by 12 tokens", None),
    # LM Studio.
    ("the model is loaded with context length of only 4096 tokens, which is not enough", 4096),
    # Groq, Cerebras.
    ("Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192", 8192),
    ("Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9022", 6000),
    # OpenRouter.
    (
        "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens (120000 "
        "of text input, 4000 of tool input, 16384 in the output). Please reduce the length of either one.",
        131_072,
    ),
    # Bedrock through LiteLLM.
    (
        "litellm.BadRequestError: litellm.ContextWindowExceededError: BedrockException: Context Window Error - "
        '{"message":"Input is too long for requested model."}',
        None,
    ),
    # Others.
    ("The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).", 1_048_576),
    ("This model's maximum prompt length is 131072 but the request contains 537812 tokens.", 131_072),
    ("prompt token count of 130000 exceeds the limit of 128000", 128_000),
    ("Invalid request: Your request exceeded model token limit: 262144 (requested: 300000)", 262_144),
    ("Range of input length should be [1, 129024]", 129_024),
    ("Prompt exceeds max length", None),
    ("the total number of tokens in the prompt cannot exceed 4081, received 9000", 4081),
    ("invalid params, context window exceeds limit (2013)", None),
    ("The number of tokens to keep from the initial prompt is greater than the context length.", None),
    ("<html><head><title>413 Request Entity Too Large</title></head></html>", None),
]

MAX_TOKENS = [
    # OpenAI.
    (
        "max_tokens is too large: 16384. This model supports at most 4096 completion tokens.",
        4096,
    ),
    # A small context: most of it was requested for the reply.
    (
        "This model's maximum context length is 8192 tokens. However, you requested 17000 tokens (616 in the messages, "
        "16384 in the completion). Please reduce the length of the messages or completion.",
        2048,
    ),
    # DeepSeek, DashScope.
    ("Invalid max_tokens value, the valid range of max_tokens is [1, 8192]", 8192),
    ("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]", 8192),
    # Anthropic.
    ("max_tokens: 16384 > 4096, which is the maximum allowed number of output tokens for claude-3-opus-20240229", 4096),
    # Groq.
    (
        "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the "
        "`context_window` for this model",
        8192,
    ),
    # vLLM.
    (
        "'max_tokens' or 'max_completion_tokens' is too large: 16384. This model's maximum context length is 8192 "
        "tokens and your request has 3000 input tokens (16384 > 8192 - 3000).",
        2048,
    ),
    ("max_tokens=16384 cannot be greater than max_model_len=4096. Please request fewer output tokens.", 1024),
    # Text Generation Inference.
    (
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8192. Given: 500 `inputs` tokens and "
        "16384 `max_new_tokens`",
        2048,
    ),
    # Bedrock through LiteLLM.
    (
        "litellm.BadRequestError: BedrockException - The maximum tokens you requested exceeds the model limit of 4096. "
        "Try again with a maximum tokens value that is lower than 4096.",
        4096,
    ),
    # Gemini.
    (
        "Unable to submit request because it has a maxOutputTokens value of 16384 but the supported range is from 1 "
        "(inclusive) to 8193 (exclusive). Update the value and try again.",
        8192,
    ),
    # OpenRouter.
    (
        "This request requires more credits, or fewer max_tokens. You requested up to 16384 tokens, but can only "
        "afford 5000.",
        5000,
    ),
    # Cohere.
    ("too many tokens: max tokens must be less than or equal to 4096, the maximum output length for this model", 4096),
    ("max_tokens: Input should be less than or equal to 8,192", 8192),
    ("The value of max_tokens is too large", None),
    ("max_output_tokens must be lower", None),
]


@pytest.mark.parametrize(("message", "limit"), CONTEXT_LENGTH)
def test_words_for_a_conversation_that_is_too_long_are_recognised_with_the_limit(
    message: str, limit: int | None
) -> None:
    assert (kind_of(message), context_limit(message)) == ("context_length", limit)


@pytest.mark.parametrize(("message", "limit"), MAX_TOKENS)
def test_words_for_too_large_a_max_tokens_are_recognised_with_the_limit(message: str, limit: int | None) -> None:
    assert (kind_of(message), max_tokens_limit(message)) == ("max_tokens", limit)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "Incorrect API key provided: sk-x",
        "Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Used 28000, Requested 4000. "
        "Please try again in 3s.",
        "Too many tokens, please wait before trying again.",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "This request requires more credits, or fewer max_tokens. You requested up to 16384 tokens, but can only "
        "afford 12.",
        "You exceeded your current quota, please check your plan and billing details.",
        "max_tokens must be at least 1",
        "502 Bad Gateway",
    ],
)
def test_other_errors_have_no_kind(message: str) -> None:
    assert kind_of(message) is None


@pytest.mark.parametrize("unit", ["max_tokens ", "exceeds the context ", "9", "request too large for ", "9,999"])
def test_messages_are_read_in_linear_time(unit: str) -> None:
    for read in (kind_of, context_limit, max_tokens_limit):
        assert_linear(read, unit)
