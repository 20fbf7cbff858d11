"""The words by which model servers refuse a conversation that is too long, or too large a `max_tokens`.

Few servers send a code for them, and gateways drop codes, so the words decide. Each pattern names the servers that use
it. Only the start of a message is read, and every repetition is bounded.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

READ_CHARACTERS = 10_000
"""Characters of a message that are read. Gateways put a page of their own words around the server's."""
REPLY_SHARE = 4
"""The fraction of the context that a reply may take, so that most of it is left for the conversation."""
MIN_AFFORDABLE = 1024
"""Tokens below which lowering `max_tokens` can't help an account that runs out of credits."""
MIN_CONTEXT, MAX_CONTEXT = 256, 100_000_000
"""Plausible context lengths in tokens."""


def kind_of(message: str) -> Literal["context_length", "max_tokens"] | None:
    """The reason in a model server's error message; None if it is neither of the two.

    A request is too long if the conversation and `max_tokens` together exceed the context. `max_tokens` is the reason
    if it takes at least half of the context, otherwise the conversation is.
    """
    text = _readable(message)
    if shares := _shares(text):
        return "max_tokens" if shares.reply_takes_half else "context_length"
    if affordable := re.search(_AFFORDABLE, text):
        return "max_tokens" if _number(affordable[1]) >= MIN_AFFORDABLE else None
    if any(re.search(pattern, text) for pattern in _REPLY_TOO_LONG):
        return "max_tokens"
    return "context_length" if re.search(_CONVERSATION_TOO_LONG, text) else None


def context_limit(message: str) -> int | None:
    """The length of the model's context in tokens, if the message states it."""
    text = _readable(message)
    if shares := _shares(text):
        return shares.context
    return next((limit for pattern in _CONTEXT if (limit := _limit(pattern, text)) is not None), None)


def max_tokens_limit(message: str) -> int | None:
    """The largest `max_tokens` that the message allows, if it states one.

    If the message only states the context, the limit is a quarter of it: the space that the conversation
    leaves now would be too much one turn later.
    """
    text = _readable(message)
    if shares := _shares(text):
        return shares.context // REPLY_SHARE
    if affordable := re.search(_AFFORDABLE, text):
        return _number(affordable[1]) or None
    if exclusive := re.search(_BELOW, text):
        return _number(exclusive[1]) - 1
    for pattern in _REPLY_TOO_LONG:
        if (match := re.search(pattern, text)) and match.re.groups:
            return _number(match[1]) or None
    return None


class _Shares(NamedTuple):
    """The length of the context, and the tokens requested for the reply."""

    context: int
    reply: int

    @property
    def reply_takes_half(self) -> bool:
        return 2 * self.reply >= self.context


_N = r"(\d{1,3}(?:[,_]\d{3}){1,3}|\d{1,12})"
_TOKENS = r"\bmax(?:imum)?[_ ]?(?:completion[_ ]|output[_ ]|new[_ ])?tokens\b"

_REPLY_SHARES = (
    # OpenAI, DeepSeek, vLLM: "(9000 in the messages, 4096 in the completion)"; OpenRouter: "4096 in the output";
    # SGLang: "4096 tokens for the completion".
    rf"{_N} (?:tokens )?(?:in|for) the (?:completion|output)",
    # vLLM: "'max_tokens' … is too large: 16384. This model's maximum context length is 8192 tokens".
    rf"{_TOKENS}.{{0,60}} is too large: {_N}\b.{{0,40}} maximum context length",
    # vLLM: "You passed 9000 input tokens and requested 4096 output tokens. However, the model's context length is …".
    rf"requested {_N} output tokens",
    # vLLM: "max_tokens=16384 cannot be greater than max_model_len=8192".
    rf"{_TOKENS} ?= ?{_N} cannot be greater than max_model_len",
    # Anthropic: "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000".
    rf"exceed context limit: \d{{1,12}} \+ {_N}",
    # Text Generation Inference: "must be <= 8193. Given: 9000 `inputs` tokens and 4096 `max_new_tokens`".
    rf"`inputs` tokens and {_N} `max_new_tokens`",
)

_CONTEXT = (
    # Anthropic, as above, and "prompt is too long: 208310 tokens > 200000 maximum".
    rf"exceed context limit: \d{{1,12}} \+ \d{{1,12}} > {_N}",
    rf"prompt is too long: \d{{1,12}} tokens > {_N}",
    # Mistral: "too large for model with 32768 maximum context length".
    rf"{_N} (?:tokens )?maximum context length",
    rf"max_model_len ?= ?{_N}",
    # llama.cpp: a field of the error.
    rf"\"n_ctx\" ?: ?{_N}",
    # OpenAI, vLLM, SGLang, DeepSeek, OpenRouter, llama.cpp, LM Studio, Fireworks.
    rf"context (?:length|size|window|limit)(?: is| of|:)?(?: only)? ?\(?{_N}\b",
    # xAI: "maximum prompt length is 131072"; vLLM: "the maximum model length of 4096".
    rf"maximum (?:prompt|model|input) length (?:is|of) {_N}",
    # Gemini: "exceeds the maximum number of tokens allowed (1048576)".
    rf"number of tokens allowed \({_N}",
    # Copilot, Cohere: "exceeds the limit of 128000"; Moonshot: "exceeded model token limit: 262144".
    rf"(?:exceeds the limit of|prompt cannot exceed|model token limit:) {_N}",
    # DashScope: "Range of input length should be [1, 129024]".
    rf"input length should be \[\d{{1,4}}, ?{_N}\]",
    # Text Generation Inference, as above.
    rf"`max_new_tokens` must be <= {_N}",
    # Cerebras: "Current length is 9000 while limit is 8192"; OpenAI, Groq: "Request too large for …: Limit 6000".
    rf"(?:while limit is|request too large for .{{0,300}}limit:?) {_N}",
)

_AFFORDABLE = rf"fewer max_tokens\b.{{0,80}}can only afford {_N}"
"""OpenRouter, with status 402."""
_BELOW = rf"maxoutputtokens\b.{{0,120}} to {_N} \(exclusive\)"
"""Gemini: "a maxOutputTokens value of 16384 but the supported range is from 1 (inclusive) to 8193 (exclusive)"."""

_REPLY_TOO_LONG = (
    # OpenAI: "max_tokens is too large: 16384. This model supports at most 4096 completion tokens".
    rf"supports at most {_N} (?:completion|output) tokens",
    # DeepSeek: "the valid range of max_tokens is [1, 8192]"; DashScope: "Range of max_tokens should be [1, 8192]".
    rf"range of {_TOKENS} (?:is|should be) \[\d{{1,4}}, ?{_N}\]",
    # Anthropic: "max_tokens: 16384 > 4096, which is the maximum allowed number of output tokens".
    rf"{_TOKENS}: \d{{1,12}} > {_N}",
    # Bedrock: "The maximum tokens you requested exceeds the model limit of 4096".
    rf"{_TOKENS} you requested exceeds the model limit of {_N}",
    # Groq: "`max_tokens` must be less than or equal to `8192`"; Cohere, and servers that validate with pydantic.
    rf"{_TOKENS}.{{0,60}}?(?:less than or equal to|at most|not exceed|not be greater than|<=) [`'\"]?{_N}",
    _BELOW,
    rf"{_TOKENS}.{{0,40}} (?:is too large|must be lower)",
)

_CONVERSATION_TOO_LONG = "|".join(
    (
        # Codes of OpenAI, llama.cpp, Copilot, and LiteLLM's name for all of them.
        "context_length_exceeded|string_above_max_length|exceed_context_size|model_max_prompt_tokens_exceeded",
        "contextwindowexceeded",
        # OpenAI, Azure, vLLM, SGLang, DeepSeek, Mistral, OpenRouter, Fireworks, Ollama, LM Studio.
        "maximum context length|exceeds? (?:the |maximum |model's |a ){0,3}context (?:length|window|size|limit)",
        "(?:greater|longer) than the (?:context|model's context|maximum model) length|with context length of only",
        "context (?:length|window|size) (?:is |was )?(?:exceed|error)|resulting in a maximum input length",
        # llama.cpp.
        "exceeds the available context size",
        # Anthropic, Bedrock, Fireworks, Ollama.
        "(?:prompt|input) (?:is )?too long|exceeded max context length",
        # Groq, Cerebras, OpenAI, vLLM.
        "reduce the length of the (?:messages|input|prompt)",
        # Gemini, xAI, Copilot, Cohere, Moonshot, Zhipu, DashScope.
        "input token count.{0,30} exceeds the maximum|maximum prompt length is \\d|exceeded model token limit",
        "(?:prompt token count|tokens in the prompt).{0,20} (?:exceeds the limit|cannot exceed)",
        "prompt exceeds max length",
        "range of input length should be",
        # OpenAI, Groq: more tokens than the account may send in a minute, so waiting doesn't help.
        "request too large for ",
        # Gateways that limit the size of a request: nginx allows 1 MB by default.
        "(?:request entity|payload|content) too large",
    )
)


def _readable(message: str) -> str:
    return " ".join(message[:READ_CHARACTERS].casefold().split())


def _shares(text: str) -> _Shares | None:
    context = next((limit for pattern in _CONTEXT if (limit := _limit(pattern, text)) is not None), None)
    reply = next((match for pattern in _REPLY_SHARES if (match := re.search(pattern, text))), None)
    return None if context is None or reply is None else _Shares(context, _number(reply[1]))


def _limit(pattern: str, text: str) -> int | None:
    match = re.search(pattern, text)
    limit = 0 if match is None else _number(match[1])
    return limit if MIN_CONTEXT <= limit <= MAX_CONTEXT else None


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))
