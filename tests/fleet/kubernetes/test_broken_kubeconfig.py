"""Broken kubeconfigs are refused in one line that has the place and a remedy, and no secret."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.kubeconfigs import SECRET, exec_user, kubeconfig, write
from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.login.kubeconfig import find_cluster
from trioworker.fleet.kubernetes.manifests.yaml_text import to_yaml

if TYPE_CHECKING:
    from pathlib import Path


PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


V1 = "client.authentication.k8s.io/v1"
BROKEN: dict[str, tuple[object, str]] = {
    "no-yaml": (f"users: [{{token: {SECRET}\n", "not valid YAML, line 2"),
    "undefined-alias": (f"users: *{SECRET}\n", "not valid YAML, line 1"),
    "bad-tag": ("users: !!timestamp x\n", "not valid YAML"),
    "too-deep": ("[" * 600, "nested too deeply"),
    "recursive": ("users: &a [*a]\n", "users[0]: expected `object`, got `array`"),
    "text": (SECRET, "the file: expected `object`, got `str`"),
    "another-kind": ({"kind": "Job"}, "a Job, not a kubeconfig"),
    "empty": ("", "no cluster is configured"),
    "users-not-a-list": ({**kubeconfig(), "users": {"u": SECRET}}, "users: expected `array | null`, got `object`"),
    "user-without-a-name": (
        {**kubeconfig(), "users": [{"user": {}}]},
        "users[0]: object missing required field `name`",
    ),
    "token-not-text": (kubeconfig({"token": 12}), "users[0].user.token: expected `str | null`, got `int`"),
    "no-current-context": (
        {**kubeconfig(), "current-context": None},
        "current-context is not set; choose one with --con",
    ),
    "unknown-context": (
        {**kubeconfig(), "current-context": "d"},
        "current-context: there is no context 'd'; choose one",
    ),
    "no-contexts": ({**kubeconfig(), "contexts": None}, "there is no context 'c'; add a context"),
    "no-cluster": (kubeconfig(context={"cluster": None}), "context 'c': cluster is missing"),
    "unknown-cluster": (kubeconfig(context={"cluster": "l"}), "context 'c': there is no cluster 'l'"),
    "unknown-user": (kubeconfig(context={"user": "v"}), "context 'c': there is no user 'v'"),
    "no-server": (kubeconfig(cluster={"server": ""}), "cluster 'k': server is missing"),
    "server-of-another-kind": (kubeconfig(cluster={"server": "ftp://x"}), "cluster 'k': server is not an http:// or"),
    "server-with-a-password": (kubeconfig(cluster={"server": f"https://me:{SECRET}@x"}), "cluster 'k': server is not"),
    "server-with-a-bad-port": (kubeconfig(cluster={"server": "https://x:99999"}), "cluster 'k': server is not"),
    "server-with-a-bad-host": (kubeconfig(cluster={"server": "https://.x"}), "cluster 'k': server: not a valid host"),
    "bad-server-name": (
        kubeconfig(cluster={"tls-server-name": ".x"}),
        "cluster 'k': tls-server-name: not a valid host",
    ),
    "bad-base64": (
        kubeconfig(cluster={"certificate-authority-data": "%"}),
        "cluster 'k': certificate-authority-data: not valid Base64",
    ),
    "bad-authority": (
        kubeconfig(cluster={"certificate-authority-data": b64encode(PEM.encode()).decode()}),
        "cluster 'k': certificate-authority: not PEM certificates",
    ),
    "missing-authority": (
        kubeconfig(cluster={"certificate-authority": "/missing.pem"}),
        "cluster 'k': certificate-authority /missing.pem: no such file or directory",
    ),
    "authority-not-verified": (
        kubeconfig(cluster={"certificate-authority": "x", "insecure-skip-tls-verify": True}),
        "exclude each other",
    ),
    "bad-proxy": (kubeconfig(cluster={"proxy-url": f"ftp://me:{SECRET}@x"}), "cluster 'k': proxy-url: not a usable"),
    "socks-proxy": (kubeconfig(cluster={"proxy-url": "socks5://x:1"}), "pip install 'httpx[socks]'"),
    "token-and-password": (kubeconfig({"token": SECRET, "username": "x"}), "user 'u': has a token and a password"),
    "token-not-ascii": (kubeconfig({"token": f"{SECRET}é"}), "user 'u': token: not a token of printable ASCII"),
    "missing-token-file": (kubeconfig({"tokenFile": "/missing"}), "tokenFile /missing: no such file or directory"),
    "token-file-is-a-folder": (kubeconfig({"tokenFile": "/"}), "tokenFile /: is a directory"),
    "token-file-with-a-nul": (kubeconfig({"tokenFile": "a\0b"}), "a\\x00b: not a valid path"),
    "endless-token-file": (kubeconfig({"tokenFile": "/dev/zero"}), "tokenFile /dev/zero: larger than 4194304 bytes"),
    "empty-token-file": (kubeconfig({"tokenFile": "/dev/null"}), "tokenFile /dev/null: a token of printable ASCII"),
    "no-key": (kubeconfig({"client-certificate-data": "eA=="}), "user 'u': client-key is missing"),
    "no-certificate": (kubeconfig({"client-key-data": "eA=="}), "user 'u': client-certificate is missing"),
    "bad-certificate": (
        kubeconfig({"client-certificate-data": "eA==", "client-key-data": "eA=="}),
        "user 'u': client-certificate and client-key: not a certificate and its key, in PEM",
    ),
    "bad-key-base64": (
        kubeconfig({"client-certificate-data": "eA==", "client-key-data": SECRET}),
        "user 'u': client-key-data: not valid Base64",
    ),
    "auth-provider": (kubeconfig({"auth-provider": {"name": "gcp"}}), "user 'u': auth-provider 'gcp' was removed"),
    "extra": (kubeconfig({"token": SECRET, "as-user-extra": {"a": ["b"]}}), "user 'u': as-user-extra is not supported"),
    "impersonation": (
        kubeconfig({"token": SECRET, "as": "a\nb"}),
        "user 'u': as, as-uid or as-groups is not printable",
    ),
    "plugin-v1alpha1": (
        kubeconfig(exec_user("x", apiVersion="client.authentication.k8s.io/v1alpha1")),
        "user 'u': exec.apiVersion 'client.authentication.k8s.io/v1alpha1' is not supported",
    ),
    "plugin-without-a-version": (kubeconfig({"exec": {"command": "x"}}), "user 'u': exec.apiVersion is missing"),
    "plugin-without-a-command": (kubeconfig({"exec": {"apiVersion": V1}}), "user 'u': exec.command is missing"),
    "plugin-that-asks": (
        kubeconfig(exec_user("sh", interactiveMode="Always")),
        "user 'u': exec.interactiveMode is Always",
    ),
    "plugin-mode": (kubeconfig(exec_user("sh", interactiveMode="x")), "user 'u': exec.interactiveMode is not Never"),
    "plugin-not-installed": (
        kubeconfig(exec_user("no-such-plugin", installHint="Install it:\n  a b")),
        "user 'u': the plugin no-such-plugin is not installed; Install it: a b",
    ),
    "plugin-not-executable": (kubeconfig(exec_user("/etc/passwd")), "the plugin /etc/passwd is not an executable file"),
    "plugin-arguments": (kubeconfig(exec_user("sh", args="x")), "users[0].user.exec.args: expected `array | null`"),
    "plugin-nul": (
        kubeconfig(exec_user("sh", args=["a\0b"])),
        "user 'u': exec.args or exec.env has a character that can't",
    ),
    "plugin-surrogate": (
        json.dumps(kubeconfig(exec_user("sh", env=[{"name": "A", "value": "\udfff"}]))).replace("{", " {", 1),
        "exec.args or exec.env has",
    ),
    "plugin-variable": (kubeconfig(exec_user("sh", env=[{"name": "A=B"}])), "exec.args or exec.env has a character"),
    "plugin-data": (
        kubeconfig(
            exec_user("sh", provideClusterInfo=True),
            {"extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {(1, 2): 3}}]},
        )
        | {"kind": ""},
        "not valid YAML",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_kubeconfig_is_one_line_with_the_place_and_a_remedy(tmp_path: Path, name: str) -> None:
    config, expected = BROKEN[name]
    file = write(tmp_path / "config", config)
    with pytest.raises(ConfigError) as raised:
        find_cluster(file, None)
    message = str(raised.value)
    assert message.startswith(f"{file}: ")
    assert expected in message
    assert "; " in message
    assert message.isprintable()
    assert SECRET not in message


def test_unusable_certificates_of_this_machine_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/missing")
    file = write(tmp_path / "config", kubeconfig())
    with pytest.raises(
        ConfigError, match="cluster 'k': SSL_CERT_FILE: /missing: no such file or directory; correct the"
    ):
        find_cluster(file, None)


def test_unknown_context_option_lists_the_known_ones(tmp_path: Path) -> None:
    file = write(tmp_path / "config", kubeconfig())
    with pytest.raises(ConfigError) as raised:
        find_cluster(file, "d")
    assert str(raised.value) == f"{file}: --context: there is no context 'd'; choose one with --context: 'c'"


def test_unreadable_named_file_is_one_line(tmp_path: Path) -> None:
    for file, reason in ((tmp_path / "missing", "no such file"), (tmp_path, "is a directory")):
        with pytest.raises(ConfigError, match=f"{file}: {reason}"):
            find_cluster(file, None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FULL = kubeconfig(
    user={
        **dict.fromkeys(("token", "tokenFile", "username", "password", "as", "as-uid"), SECRET),
        **{f"client-{name}": SECRET for name in ("key", "key-data", "certificate", "certificate-data")},
        **exec_user("sh", args=["x"], env=[{"name": "A", "value": "b"}], installHint="x", provideClusterInfo=True),
        "as-groups": ["g"],
        "auth-provider": {"name": "x"},
    },
    cluster={
        **dict.fromkeys(("certificate-authority", "certificate-authority-data", "tls-server-name"), "x"),
        "proxy-url": "http://x",
        "insecure-skip-tls-verify": False,
        "extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}}],
    },
    context={"namespace": "n"},
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each container with each of its keys, in any depth."""
    is_dict, is_list = hasattr(value, "keys"), hasattr(value, "append")
    keys: list[Any] = list(value) if is_dict else list(range(len(value))) if is_list else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_at_any_level_is_used_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    config: Any = json.loads(json.dumps(FULL))
    for _ in range(data.draw(st.integers(1, 6))):
        if not (found := places(config)):
            break
        container, key = data.draw(st.sampled_from(found))
        if data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = data.draw(VALUES)
    (tmp_path / "config").write_text(to_yaml([config]))
    refusal = ""
    try:
        find_cluster(tmp_path / "config", None)
    except ConfigError as error:
        refusal = str(error)
    assert refusal.isprintable()
    assert SECRET not in refusal.replace(f"{tmp_path}/{SECRET}", "")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(alphabet="{}[]:&*!|>-'\"\n\t #ab1", max_size=60).map(str.encode))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config").write_bytes(content)
    with pytest.raises(ConfigError):
        find_cluster(tmp_path / "config", None)
