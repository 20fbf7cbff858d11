"""The words with which providers refuse a request for its length, or for its `max_tokens`.

Most orchestrators pass a provider's message on as text. Only these two refusals are recognized, since the worker can do
something about them: compact the conversation, or ask for less.
"""

from __future__ import annotations

import re
from typing import NamedTuple

READ_CHARACTERS = 4_000
"""The part of a message that is searched."""
MIN_REPLY_TOKENS = 1_024
"""A context with less room for the reply counts as full."""


class TooLong(NamedTuple):
    """The conversation is longer than the context of `limit` tokens, None if the provider didn't say how long it is."""

    limit: int | None


class MaxTokensTooHigh(NamedTuple):
    """`max_tokens` is more than the `allowed`, None if the provider didn't say how many are."""

    allowed: int | None


def recognize(message: str) -> TooLong | MaxTokensTooHigh | None:
    """What a provider's message says, None if it is about something else."""
    text = re.sub(_THOUSANDS, "", message[:READ_CHARACTERS])
    if re.search(_RATE, text):
        return None
    return _sum_too_long(text) or _too_long(text) or _max_tokens_too_high(text)


def _sum_too_long(text: str) -> TooLong | MaxTokensTooHigh | None:
    """The conversation and `max_tokens` together exceed the context; a lower `max_tokens` may be enough."""
    for pattern in _SUMS:
        if match := re.search(pattern, text):
            sizes = {name: int(size) for name, size in match.groupdict().items()}
            prompt = sizes["prompt"] if "prompt" in sizes else sizes["sum"] - sizes["reply"]
            room = sizes["limit"] - prompt
            return MaxTokensTooHigh(room) if room >= MIN_REPLY_TOKENS else TooLong(sizes["limit"])
    return None


def _too_long(text: str) -> TooLong | None:
    if not re.search(_TOO_LONG, text):
        return None
    return TooLong(_first_number(_LIMITS, text))


def _max_tokens_too_high(text: str) -> MaxTokensTooHigh | None:
    if not re.search(_MAX_TOKENS, text) or re.search(_UNSUPPORTED, text):
        return None
    if exclusive := re.search(_EXCLUSIVE, text):
        return MaxTokensTooHigh(int(exclusive[1]) - 1)
    allowed = _first_number(_ALLOWED, text)
    return MaxTokensTooHigh(allowed) if allowed or re.search(_TOO_HIGH, text) else None


def _first_number(patterns: tuple[str, ...], text: str) -> int | None:
    return next((int(match[1]) for pattern in patterns if (match := re.search(pattern, text))), None)


_THOUSANDS = r"(?<=\d),(?=\d{3}\b)"
_RATE = r"(?i)tokens? per |per (?:minute|day)|rate.?limit|\bTPM\b"
"""Limits of a rate are lifted by waiting, though they are also worded as "request too large"."""

_SUMS = (
    # OpenAI, DeepSeek, vLLM: "(… in the messages, … in the completion)". OpenRouter: "(… in the output)".
    r"maximum context length is (?P<limit>\d{1,9}) tokens.{1,40}requested (?:about )?(?P<sum>\d{1,9}) tokens"
    r".{1,99}?(?P<reply>\d{1,9}) (?:in|for) the (?:completion|output)",
    # vLLM
    r"maximum context length is (?P<limit>\d{1,9}) tokens and your request has (?P<prompt>\d{1,9}) input tokens",
    r"maximum context length is (?P<limit>\d{1,9}) tokens.{1,40}requested \d{1,9} output tokens and your prompt "
    r"contains (?:at least )?(?P<prompt>\d{1,9}) input tokens",
    # Anthropic: "input length and `max_tokens` exceed context limit: 190000 + 16384 > 200000".
    r"(?P<prompt>\d{1,9}) \+ (?P<reply>\d{1,9}) > (?P<limit>\d{1,9})",
    # text-generation-inference
    r"must be <= (?P<limit>\d{1,9})\. Given: (?P<prompt>\d{1,9}) `inputs`",
)
_TOO_LONG = (
    r"(?i)context_length_exceeded|exceed_context_size|string_above_max_length|model_max_prompt_tokens_exceeded"
    # OpenAI, Azure, DeepSeek, OpenRouter, vLLM
    r"|maximum context length|exceeds the context window|reduce the length of the (?:messages|prompt|input)"
    # Anthropic, Bedrock
    r"|prompt is too long|input is too long|exceeds? (?:the )?context limit"
    # Google
    r"|input token count.{1,40}exceeds"
    # Mistral, xAI, Copilot, Moonshot, MiniMax, Cohere
    r"|too large for model with|maximum prompt length|prompt token count.{1,40}exceeds|exceeded model token limit"
    r"|context window exceeds|number of tokens in the prompt cannot exceed"
    # llama.cpp, LM Studio, Ollama, vLLM
    r"|available context size|greater than the context length|context length of only|context length exceeded"
    r"|exceeds? (?:the )?(?:maximum |max )?context (?:length|size)|exceeded max context length"
    r"|longer than the maximum model length"
)
_LIMITS = (
    r"(\d{3,9}) maximum",
    r"(?i)maximum number of tokens allowed \(?(\d{3,9})",
    r"(?i)maximum (?:model|prompt) length (?:is|of) (\d{3,9})",
    r"(?i)exceeds the limit of (\d{3,9})",
    r"(?i)token limit: (\d{3,9})",
    r"(?i)limit is (\d{3,9})",
    r"(?i)cannot exceed (\d{3,9})",
    r"(?i)context (?:length|size|window|limit)[^\d]{1,20}(\d{3,9})",
    r"n_ctx[^\d]{1,5}(\d{3,9})",
)
_MAX_TOKENS = r"(?i)max_?(?:completion_?|output_?|new_?)?tokens|maximum (?:output )?tokens"
_UNSUPPORTED = r"(?i)unsupported parameter|is not supported|unrecognized|extra inputs"
"""Refusals of the parameter itself, whatever its value."""
_EXCLUSIVE = r"to (\d{1,9}) \(exclusive\)"
"""Google: "the supported range is from 1 (inclusive) to 8193 (exclusive)"."""
_ALLOWED = (
    # Anthropic: "max_tokens: 16384 > 8192, which is the maximum allowed number of output tokens".
    r"max_tokens: \d{1,9} > (\d{1,9})",
    # DeepSeek, Alibaba: "[1, 8192]".
    r"\[\d{1,9}, ?(\d{1,9})\]",
    # OpenAI: "This model supports at most 4096 completion tokens".
    r"(?i)at most `?(\d{1,9})",
    # Groq, Cohere: "must be less than or equal to `8192`".
    r"(?i)(?:(?:less|lower) than or equal to|<=) ?`?(\d{1,9})",
    # Bedrock: "exceeds the model limit of 4096".
    r"(?i)limit of (\d{1,9})",
    # OpenRouter: "fewer max_tokens. You requested up to 16384 tokens, but can only afford 5000".
    r"(?i)can only afford (\d{1,9})",
    r"(?i)maximum (?:value )?(?:is|of) `?(\d{1,9})",
)
_TOO_HIGH = r"(?i)too (?:large|high|big)|exceeds?|must be|out of range|larger than|greater than"
