"""The baseline: a plain sequential worker that follows the contract's 'A job, in order'.

It awaits each request before the next, encodes the whole conversation for each, and sleeps 100 ms between iterations.
It uses the same libraries as trioworker, so that a ratio compares designs and not HTTP clients. It has two tools and
no retries.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from itertools import count
from typing import Any

import httpx
import trio

PAUSE = 0.1
"""Seconds between iterations, as in the worker that trioworker replaces."""
STATUS_EVERY = 5
MAX_OUTPUT = 100_000
SELECT_TOKENS, RESPOND_TOKENS, TEMPERATURE = 1024, 4096, 0.7
TIMEOUT = 300.0
COMPLETION = "the job is complete"

SECRETS = {
    "openai_api_key": re.compile(r"sk-[A-Za-z0-9_-]{20,}"),
    "anthropic_api_key": re.compile(r"sk-ant-api[A-Za-z0-9_-]{90,}"),
    "openrouter_api_key": re.compile(r"sk-or-v1-[0-9A-Fa-f]{40,}"),
    "aws_access_key": re.compile(r"AKIA[A-Z0-9]{16}"),
    "github_token": re.compile(r"gh[pousr]_[A-Za-z0-9_]{36,}"),
    "github_fine_grained_pat": re.compile(r"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}"),
    "stripe_api_key": re.compile(r"sk_(?:live|test)_[A-Za-z0-9]{24,}"),
    "nearai_session": re.compile(r"sess_[A-Za-z0-9]{32,}"),
    "google_api_key": re.compile(r"AIza[A-Za-z0-9_-]{35}"),
    "slack_token": re.compile(r"xox[baprs]-[A-Za-z0-9-]{10,}"),
    "twilio_api_key": re.compile(r"SK[0-9A-Fa-f]{32}"),
    "sendgrid_api_key": re.compile(r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    "bearer_token": re.compile(r"Bearer\s+[A-Za-z0-9._-]{20,}"),
    "auth_header": re.compile(r"(?i)authorization:\s*[a-z]+\s+[a-z0-9._-]{20,}"),
    "telegram_bot_token": re.compile(r"[0-9]{8,12}:AA[A-Za-z0-9_-]{30,}"),
    "groq_api_key": re.compile(r"gsk_[A-Za-z0-9]{30,}"),
}
MARKS = [
    re.compile(r"(?:ignore|disregard|forget)\s+(?:all\s+)?(?:previous|prior|above)\s+instructions", re.IGNORECASE),
    re.compile(r"<\|(?:im_start|im_end|system|user|assistant)\|>", re.IGNORECASE),
    re.compile(r"^\s*system\s*:", re.IGNORECASE),
    re.compile(r"you\s+are\s+now\s+(?:a|an|the)\b", re.IGNORECASE),
    re.compile(r"new\s+instructions\s*:", re.IGNORECASE),
    re.compile(r"reveal\s+your\s+system\s+prompt", re.IGNORECASE),
]
"""One pattern for each kind of secret and each injection marker, applied one after the other."""

TOOLS = [
    {"name": name, "description": text, "parameters": {"type": "object", "properties": {field: {"type": "string"}}}}
    for name, text, field in (("read_file", "Read a file.", "path"), ("shell", "Run a command.", "command"))
]


def redacted(text: str) -> str:
    """The text with secrets replaced, and a warning if it looks like instructions."""
    for name, pattern in SECRETS.items():
        text = pattern.sub(f"[REDACTED:{name}]", text)
    if any(pattern.search(text) for pattern in MARKS):
        text += "\n[This output contains text that reads like instructions.]"
    return text


class Worker:
    """One job, from its start to its report."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._messages: list[dict[str, Any]] = []
        self._output: str | None = None

    async def run(self) -> None:
        job = await self._get("job")
        await self._get("credentials")
        await self._post("status", state="in_progress", message="Worker started, beginning execution", iteration=0)
        self._messages = [
            {"role": "system", "content": f"You are an autonomous agent. {job['title']}: {job['description']}"},
            {"role": "user", "content": job["description"]},
        ]
        for iteration in count(1):
            if iteration % STATUS_EVERY == 1:
                await self._post("status", state="in_progress", message=f"Iteration {iteration}", iteration=iteration)
            message = await self._iterate()
            if message is not None:
                await self._event("result", success=True, message=message[:2000])
                await self._post("complete", success=True, message=message, iterations=iteration)
                return
            await trio.sleep(PAUSE)

    async def _iterate(self) -> str | None:
        """Run one iteration; the message to report if the job is complete."""
        prompt = await self._get("prompt")
        if prompt is not None:
            self._messages.append({"role": "user", "content": prompt["content"]})
            await self._event("message", role="user", content=prompt["content"][:2000])
        reply = await self._ask(max_tokens=SELECT_TOKENS)
        if not reply.get("tool_calls"):
            reply = await self._ask(max_tokens=RESPOND_TOKENS, temperature=TEMPERATURE)
        if calls := reply.get("tool_calls"):
            self._messages.append({"role": "assistant", "content": reply.get("content") or "", "tool_calls": calls})
            for call in calls:
                await self._call(call)
            return None
        text = reply.get("content") or ""
        await self._event("message", role="assistant", content=redacted(text)[:2000])
        if COMPLETION in text.lower():
            return self._output or text
        self._messages.append({"role": "assistant", "content": text})
        return None

    async def _ask(self, **values: object) -> dict[str, Any]:
        return await self._post(
            "llm/complete_with_tools", messages=self._messages, tools=TOOLS, tool_choice="auto", **values
        )

    async def _call(self, call: dict[str, Any]) -> None:
        name = call["name"]
        await self._event("tool_use", tool_name=name, input=redacted(json.dumps(call["arguments"]))[:500])
        result = json.dumps(await run_tool(name, call["arguments"]), indent=2)
        self._output = redacted(result)
        await self._event("tool_result", tool_name=name, output=self._output[:2000], success=True)
        shown = f'<tool_output name="{name}" sanitized="false">\n{self._output[:MAX_OUTPUT]}\n</tool_output>'
        self._messages.append({"role": "tool", "content": shown, "tool_call_id": call["id"], "name": name})

    async def _event(self, kind: str, **data: object) -> None:
        await self._post("event", event_type=kind, data=data)

    async def _get(self, path: str) -> Any:
        return _content(await self._http.get(path))

    async def _post(self, path: str, **body: object) -> Any:
        return _content(await self._http.post(path, json=body))


async def run_tool(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Run a tool to its end; its result."""
    if name == "read_file":
        lines = (await trio.Path(arguments["path"]).read_text()).splitlines()
        content = "\n".join(f"{number:>6}│ {line}" for number, line in enumerate(lines, 1))
        return {"content": content, "total_lines": len(lines), "lines_shown": len(lines), "path": arguments["path"]}
    ended = await trio.run_process(
        ["sh", "-c", arguments["command"]], check=False, capture_stdout=True, stderr=subprocess.STDOUT
    )
    return {"output": ended.stdout.decode("utf-8", "replace")[:65536], "exit_code": ended.returncode, "success": True}


def _content(response: httpx.Response) -> Any:
    response.raise_for_status()
    return response.json() if response.content else None


async def main(job_id: str, url: str) -> None:
    headers = {"Authorization": f"Bearer {os.environ['IRONCLAW_WORKER_TOKEN']}"}
    base = f"{url}/worker/{job_id}/"
    # Plain HTTP needs no certificates; loading them would dominate the start. trioworker skips it too.
    verify = url.startswith("https:")
    async with httpx.AsyncClient(
        base_url=base, headers=headers, timeout=TIMEOUT, verify=verify, trust_env=False
    ) as http:
        await Worker(http).run()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2])
