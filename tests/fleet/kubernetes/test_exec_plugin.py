"""Credential plugins: real programs, which print a token or a client certificate."""

from __future__ import annotations

import json
import os
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import trio

from support.kubeconfigs import SECRET, exec_user, forget_clusters, kubeconfig, plugin, write
from support.program import is_running
from support.tls import Authority
from trioworker.cli.admin_token import ADMIN_TOKEN_VARIABLE, admin_token
from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.login.credentials import LoginError
from trioworker.fleet.kubernetes.login.exec_plugin import MIN_USE, RENEW_BEFORE
from trioworker.fleet.kubernetes.login.kubeconfig import find_cluster
from trioworker.fleet.kubernetes.login.plugin_process import run_plugin

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.fleet.kubernetes.login.credentials import Login

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


def credential(version: str = V1, **status: Any) -> str:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


def printing(text: str) -> str:
    return f"printf %s {shlex.quote(text)}"


@pytest.fixture(autouse=True)
def _no_clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    forget_clusters(tmp_path / "home", monkeypatch)


async def fetched(folder: Path, script: str, cluster: dict[str, Any] | None = None, **fields: Any) -> Login:
    user = exec_user(plugin(folder / "plugin", script), **fields)
    login = find_cluster(write(folder / "config", kubeconfig(user, cluster)), None).login
    assert login is not None
    return await login.fetch()


@pytest.mark.parametrize("version", [V1, V1BETA1])
async def test_token_of_a_plugin_is_the_login(tmp_path: Path, version: str) -> None:
    login = await fetched(tmp_path, printing(credential(version, token=SECRET)), apiVersion=version)
    assert login.authorization == f"Bearer {SECRET}"
    assert login.certificate is None


@pytest.mark.parametrize(("lifetime", "expected"), [(900, 900 - RENEW_BEFORE), (2, MIN_USE), (-100, MIN_USE)])
async def test_login_is_used_until_shortly_before_it_expires(tmp_path: Path, lifetime: int, expected: float) -> None:
    end = (datetime.now(UTC) + timedelta(seconds=lifetime)).isoformat()
    login = await fetched(tmp_path, printing(credential(token=SECRET, expirationTimestamp=end)))
    assert login.expires - trio.current_time() == pytest.approx(expected, abs=1.5)


async def test_plugin_gets_arguments_variables_and_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "a")
    monkeypatch.setenv("REPLACED", "b")
    script = f'printf "%s\\n" "$@" "$INHERITED" "$REPLACED" "$(cat)" >{tmp_path}/seen; '
    await fetched(
        tmp_path,
        script + printing(credential(token=SECRET)),
        args=["get-token", "a b"],
        env=[{"name": "REPLACED", "value": "c"}],
    )
    assert (tmp_path / "seen").read_text() == "get-token\na b\na\nc\n\n"


async def test_plugin_does_not_inherit_the_orchestrators_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADMIN_TOKEN_VARIABLE, "secret-of-the-orchestrator")
    assert admin_token("--orchestrator-admin-token-file", None) == "secret-of-the-orchestrator"
    await fetched(tmp_path, f"env >{tmp_path}/seen; " + printing(credential(token=SECRET)))
    assert "secret-of-the-orchestrator" not in (tmp_path / "seen").read_text()


@pytest.mark.parametrize("provide", [True, False])
async def test_plugin_is_told_about_the_cluster_if_it_asks(tmp_path: Path, provide: bool) -> None:
    authority = Authority(tmp_path)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}
    cluster = {"certificate-authority": str(authority.file), "tls-server-name": "n", "extensions": [extension]}
    script = f'printf %s "$KUBERNETES_EXEC_INFO" >{tmp_path}/seen; ' + printing(credential(token=SECRET))
    await fetched(tmp_path, script, cluster, provideClusterInfo=provide)
    info = json.loads((tmp_path / "seen").read_text())
    assert (info["apiVersion"], info["kind"], info["spec"]["interactive"]) == (V1, "ExecCredential", False)
    if not provide:
        assert "cluster" not in info["spec"]
        return
    told = info["spec"]["cluster"]
    assert (told["server"], told["tls-server-name"]) == ("https://kube.test:6443", "n")
    assert told["config"] == {"audience": "a"}
    assert told["certificate-authority-data"]


FAILURES: dict[str, tuple[str, str]] = {
    "exit": (
        "echo first >&2; echo 'no session' >&2; exit 3",
        "failed with exit code 3: no session; ",
    ),
    "several-lines": (
        "printf 'ERROR: not logged in.\\nPlease run:\\n  login\\n)\\n' >&2; exit 1",
        "1: ERROR: not logged in; ",
    ),
    "silent": ("exit 1", "failed with exit code 1: it printed no reason"),
    "signal": ("kill -9 $$", "failed with signal 9"),
    "not-json": (printing(f"token {SECRET}"), "printed no JSON"),
    "nothing": ("", "printed no JSON"),
    "not-an-object": (printing("[1]"), "printed no valid ExecCredential: expected `object`, got `array`"),
    "wrong-type": (printing(credential(token=12)), "expected `str | null`, got `int` - at `$.status.token`"),
    "bad-time": (printing(credential(token="x", expirationTimestamp="soon")), "at `$.status.expirationTimestamp`"),
    "another-kind": (printing(credential(token=SECRET).replace("ExecC", "C")), "printed no ExecCredential"),
    "another-version": (
        printing(credential(V1BETA1, token=SECRET)),
        f"printed '{V1BETA1}', but exec.apiVersion is",
    ),
    "no-status": (printing(json.dumps({"apiVersion": V1, "kind": "ExecCredential"})), "neither a token nor a certif"),
    "no-token": (printing(credential(token="")), "neither a token nor a certificate"),
    "bad-token": (printing(credential(token=f"{SECRET}\nx")), "printed a token that is not a token of printable"),
    "only-a-key": (printing(credential(clientKeyData=SECRET)), "printed only one of a certificate and its key"),
    "bad-key": (
        printing(credential(clientKeyData=SECRET, clientCertificateData="x")),
        "printed a certificate that",
    ),
    "endless": ("yes", "printed more than 1048576 bytes"),
    "endless-errors": ("yes >&2", "printed more than 1048576 bytes"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_failing_plugin_is_one_line_with_the_place_and_a_remedy(tmp_path: Path, name: str) -> None:
    script, expected = FAILURES[name]
    with pytest.raises(LoginError) as raised:
        await fetched(tmp_path, script, installHint="Install the plugin\nfrom example.com.")
    message = str(raised.value)
    assert message.startswith(f"{tmp_path}/config: user 'u': the plugin {tmp_path}/plugin ")
    assert expected in message
    assert message.endswith("; Install the plugin from example.com.")
    assert message.isprintable()
    assert SECRET not in message


async def test_first_run_that_fails_is_a_config_error(tmp_path: Path) -> None:
    user = exec_user(plugin(tmp_path / "plugin", "echo log in first >&2; exit 1"))
    access = find_cluster(write(tmp_path / "config", kubeconfig(user)), None)
    with pytest.raises(ConfigError, match="failed with exit code 1: log in first"):
        async with access.connect():
            pass


async def test_plugin_that_cannot_be_executed_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plugin").write_text("#!/no/such/interpreter\n")
    (tmp_path / "plugin").chmod(0o755)
    login = find_cluster(write(tmp_path / "config", kubeconfig(exec_user("./plugin"))), None).login
    assert login is not None
    with pytest.raises(LoginError, match="can't be run: no such file or directory"):
        await login.fetch()


async def test_plugin_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    script = plugin(tmp_path / "plugin", f"sleep 1000 & echo $! >{tmp_path}/pid; wait")
    with pytest.raises(ValueError, match=r"did not end within 0\.5 s"):
        await run_plugin([str(script)], dict(os.environ), 0.5)
    child = int((tmp_path / "pid").read_text())
    with trio.fail_after(30):
        while is_running(child):  # noqa: ASYNC110 - nobody tells when init has reaped it
            await trio.sleep(0.05)


async def test_child_that_keeps_the_output_open_does_not_delay_the_login(tmp_path: Path) -> None:
    script = plugin(tmp_path / "plugin", f"sleep 20 & echo $! >{tmp_path}/pid; echo done")
    with trio.fail_after(15):
        assert await run_plugin([str(script)], dict(os.environ)) == b"done\n"
    os.kill(int((tmp_path / "pid").read_text()), 9)
