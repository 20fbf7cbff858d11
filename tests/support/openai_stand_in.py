"""A stand-in for OpenAI-compatible servers: each has a name, one model and a base URL, and all behave alike."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

COMMANDS = {"until it works": "sleep 60", "and test it": "sleep 3"}
"""What the model runs for a task with these words."""


def message_for(request: dict[str, Any]) -> dict[str, Any]:
    """One call, of the user's own tool if there is one, then an answer with the call's result and all follow-ups."""
    messages: list[dict[str, Any]] = request["messages"]
    results = [message["content"] for message in messages if message["role"] == "tool"]
    if results:
        users = [message["content"] for message in messages if message["role"] == "user"]
        return {"role": "assistant", "content": "; ".join([*users[1:], *results, "The job is complete."])}
    task = next(message["content"] for message in messages if message["role"] == "user")
    command = next((command for words, command in COMMANDS.items() if words in task), "ls")
    name, arguments = "shell", {"command": command}
    if any(tool["function"]["name"] == "word_count" for tool in request["tools"]):
        name, arguments = "word_count", {"text": "print(sum([1, 2, 3])"}
    call = {"id": "call_1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@contextmanager
def stand_in(models: Mapping[str, str]) -> Generator[dict[str, str]]:
    """Serve servers by name, each with its model, while the block runs. Yields their base URLs."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send({"object": "list", "data": [{"id": models[self.path.split("/")[1]], "object": "model"}]})

        def do_POST(self) -> None:
            request: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = message_for(request)
            reason = "tool_calls" if message.get("tool_calls") else "stop"
            choice = {"index": 0, "message": message, "finish_reason": reason}
            usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
            self._send({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})

        def _send(self, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {name: f"http://127.0.0.1:{server.server_port}/{name}/v1" for name in models}
        server.shutdown()
