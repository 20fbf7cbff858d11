"""Jobs with a real OpenAI-compatible server: LiteLLM's proxy, with mock responses or a strict provider behind it.

LiteLLM pins its dependencies, so install it in its own virtual environment. `TRIOWORKER_TEST_LITELLM` is the path of
its executable; the default is the one on PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest
import trio

from support import odd_replies
from support.embedded import run_job_with
from support.strict_provider import StrictProvider, listening
from trioworker.orchestrator.backends.openai import OpenAIBackend

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

LITELLM = os.environ.get("TRIOWORKER_TEST_LITELLM") or shutil.which("litellm")

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(LITELLM is None, reason="needs `litellm[proxy]`: set TRIOWORKER_TEST_LITELLM to its executable"),
]

START_TIMEOUT = 90.0
"""Seconds. Importing LiteLLM's proxy takes several, and more on a busy machine."""
JOB_TIMEOUT = 60.0

MOCK = """\
model_list:
  - model_name: mock
    litellm_params:
      model: openai/mock
      api_key: none
      mock_response: "All is well. The job is complete."
"""

STRICT = """\
model_list:
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_key: none, api_base: "{base}", max_retries: 0}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
"""
"""Each model belongs to one provider, and LiteLLM itself never retries."""

CASES = {
    f"{kind}-{number}": case
    for kind in ("thoughts", "markup", "names", "argument_forms", "forms", "errors", "limits")
    for number, case in enumerate(getattr(odd_replies, kind.upper()).values())
}


@contextmanager
def proxy(folder: Path, text: str) -> Generator[str]:
    """Run the proxy on a free port; yields its base URL."""
    config = folder / "litellm.yaml"
    config.write_text(text)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    environment = {
        **os.environ,
        # The first prevents a download at startup; the second allows a server without a key.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    environment.pop("PYTHONPATH", None)
    with (
        (folder / "proxy.log").open("w") as log,
        subprocess.Popen(
            [str(LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)],
            env=environment,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        ) as server,
    ):
        try:
            base = f"http://127.0.0.1:{port}/v1"
            _wait_until_up(server, f"{base}/models", folder / "proxy.log")
            yield base
        finally:
            # The whole session, since it starts child processes.
            os.killpg(server.pid, signal.SIGKILL)


def _wait_until_up(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(url, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"LiteLLM's proxy did not start:\n{log.read_text()[-2000:]}")


def test_a_job_completes_with_a_model_behind_litellm(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with proxy(tmp_path, MOCK) as base:
        # Without --model: the server's only model is used.
        local = [sys.executable, "-m", "trioworker", "local", "Is all well?", "--llm", f"openai:{base}", "--json"]
        ended = subprocess.run(
            [*local, "--workspace", str(workspace)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=JOB_TIMEOUT,
            check=False,
        )

    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    messages = [event["data"]["content"] for event in events if event["event_type"] == "message"]
    assert messages == ["All is well. The job is complete."]
    assert events[-1]["data"]["status"] == "completed"
    assert events[-1]["usage"]["output_tokens"] > 0


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[str, dict[str, StrictProvider]]]:
    """The proxy's URL, and the providers behind it by the names of their models."""
    providers = {name: case.provider() for name, case in CASES.items()}
    with listening(providers) as base, proxy(tmp_path_factory.mktemp("litellm"), STRICT.format(base=base)) as url:
        yield url, providers


@pytest.mark.parametrize("name", CASES)
async def test_a_job_with_odd_replies_behind_litellm_completes(
    name: str, strict: tuple[str, dict[str, StrictProvider]], workspace: Path
) -> None:
    url, providers = strict
    with trio.fail_after(JOB_TIMEOUT):
        outcome, _ = await run_job_with(OpenAIBackend(url, name), workspace)

    # LiteLLM converts other thoughts to `reasoning_content`, and passes that to the provider when it is returned.
    assert [refusal for refusal in providers[name].refusals if "reasoning_content" not in refusal] == []
    assert (outcome.status, outcome.message) == ("completed", "All is well. The job is complete.")
