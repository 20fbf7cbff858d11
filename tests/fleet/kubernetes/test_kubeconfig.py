"""The cluster and the user that a kubeconfig names."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from support.kubeconfigs import SECRET, exec_user, kubeconfig, plugin, write
from support.tls import Authority
from trioworker.errors import ConfigError
from trioworker.fleet.kubernetes.login.kubeconfig import find_cluster

if TYPE_CHECKING:
    from pathlib import Path

    from trioworker.fleet.kubernetes.login.cluster_access import ClusterAccess


async def authorization(access: ClusterAccess) -> str | None:
    return None if access.login is None else (await access.login.fetch()).authorization


async def test_named_file_is_used_instead_of_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "other", kubeconfig())))
    file = write(tmp_path / "named", kubeconfig(cluster={"server": "https://named.test"}))
    assert find_cluster(file, None).server == "https://named.test"


async def test_variable_is_used_instead_of_the_users_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "home/.kube/config", kubeconfig(cluster={"server": "https://home.test"}))
    assert find_cluster(None, None).server == "https://home.test"
    monkeypatch.setenv("KUBECONFIG", str(write(tmp_path / "other", kubeconfig())))
    access = find_cluster(None, None)
    assert access.server == "https://kube.test:6443"
    assert access.source == str(tmp_path / "other")
    assert await authorization(access) == f"Bearer {SECRET}"


async def test_first_of_several_files_that_sets_a_name_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kubeconfig(user={"token": "first"}) | {"current-context": "", "clusters": None}
    second = kubeconfig(cluster={"server": "https://second.test"}, context={"namespace": "second"})
    third = kubeconfig(cluster={"server": "https://third.test"}) | {"current-context": "other"}
    files = [write(tmp_path / name, config) for name, config in (("1", first), ("2", second), ("3", third))]
    monkeypatch.setenv("KUBECONFIG", ":".join(["", str(tmp_path / "missing"), *map(str, files)]))
    access = find_cluster(None, None)
    assert (access.server, access.namespace) == ("https://second.test", None)
    assert await authorization(access) == "Bearer first"


async def test_context_option_chooses_the_cluster_the_user_and_the_namespace(tmp_path: Path) -> None:
    config = kubeconfig(context={"namespace": "one"})
    config["contexts"].append({"name": "d", "context": {"cluster": "l", "user": "v", "namespace": "two"}})
    config["clusters"].append({"name": "l", "cluster": {"server": "https://l.test/prefix"}})
    config["users"].append({"name": "v", "user": {"username": "me", "password": "word"}})
    file = write(tmp_path / "config", config)
    assert find_cluster(file, None).namespace == "one"
    access = find_cluster(file, "d")
    assert (access.server, access.namespace) == ("https://l.test/prefix", "two")
    assert await authorization(access) == f"Basic {b64encode(b'me:word').decode()}"


async def test_relative_paths_are_relative_to_their_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "token").write_text("from-the-file\n")
    config = kubeconfig(user={"tokenFile": "../token"}, cluster={"certificate-authority": "../authority.pem"})
    write(tmp_path / "folder/config", config)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", "folder/config")
    access = find_cluster(None, None)
    assert access.tls.cert_store_stats()["x509_ca"] == 1
    assert await authorization(access) == "Bearer from-the-file"
    data = b64encode(authority.file.read_bytes()).decode()
    file = write(tmp_path / "config", kubeconfig(cluster={"certificate-authority-data": data}))
    assert find_cluster(file, None).tls.cert_store_stats()["x509_ca"] == 1


async def test_json_indented_by_tabs_is_read(tmp_path: Path) -> None:
    file = write(tmp_path / "config", json.dumps(kubeconfig(), indent="\t"))
    assert find_cluster(file, None).server == "https://kube.test:6443"


async def test_names_that_look_like_dates_are_text(tmp_path: Path) -> None:
    file = write(tmp_path / "config", json.dumps(kubeconfig()).replace('"name": "c"', '"name": 2026-01-01'))
    assert find_cluster(file, "2026-01-01").server == "https://kube.test:6443"


async def test_no_login_is_sent_in_clear_text(tmp_path: Path) -> None:
    file = write(tmp_path / "config", kubeconfig(cluster={"server": "http://kube.test"}))
    assert find_cluster(file, None).login is None


async def test_server_without_a_scheme_is_secure_if_its_certificate_is_configured(tmp_path: Path) -> None:
    for cluster, scheme in (({}, "http"), ({"insecure-skip-tls-verify": True}, "https")):
        file = write(tmp_path / "config", kubeconfig(cluster={"server": "kube.test:6443", **cluster}))
        assert find_cluster(file, None).server == f"{scheme}://kube.test:6443"


async def test_user_may_act_as_another_one(tmp_path: Path) -> None:
    user = {"token": SECRET, "as": "root", "as-groups": ["a", "b"]}
    access = find_cluster(write(tmp_path / "config", kubeconfig(user=user)), None)
    groups = (("Impersonate-Group", "a"), ("Impersonate-Group", "b"))
    assert access.impersonation == (("Impersonate-User", "root"), *groups)


@pytest.mark.parametrize(
    ("server", "cluster", "environment", "expected"),
    [
        ("https://kube.test", {}, {}, None),
        ("https://kube.test", {"proxy-url": "http://p:1"}, {"HTTPS_PROXY": "http://q:1"}, "http://p:1"),
        ("https://kube.test", {}, {"HTTPS_PROXY": "q:1"}, "http://q:1"),
        ("https://kube.test", {}, {"HTTP_PROXY": "http://q:1"}, None),
        ("https://kube.test", {}, {"HTTPS_PROXY": "http://q:1", "NO_PROXY": ".test"}, None),
        ("https://10.1.2.3", {}, {"HTTPS_PROXY": "http://q:1", "NO_PROXY": "a, 10.0.0.0/8"}, None),
        ("https://11.1.2.3", {}, {"HTTPS_PROXY": "http://q:1", "NO_PROXY": "a, 10.0.0.0/8"}, "http://q:1"),
        ("https://127.0.0.1:6443", {}, {"HTTPS_PROXY": "http://q:1"}, None),
    ],
)
async def test_proxy_is_that_of_the_cluster_or_of_the_environment(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    server: str,
    cluster: dict[str, Any],
    environment: dict[str, str],
    expected: str | None,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    file = write(tmp_path / "config", kubeconfig(cluster={"server": server, **cluster}))
    assert find_cluster(file, None).proxy == expected


def pod(folder: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> Path:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    folder.mkdir()
    Authority(folder).file.rename(folder / "ca.crt")
    (folder / "token").write_text("token-of-the-pod")
    (folder / "namespace").write_text("space\n")
    return folder


@pytest.mark.parametrize(
    ("host", "server"), [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
async def test_pod_without_a_kubeconfig_uses_its_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, server: str
) -> None:
    folder = pod(tmp_path / "account", monkeypatch, host)
    access = find_cluster(None, None, folder)
    assert (access.server, access.namespace) == (server, "space")
    assert access.tls.cert_store_stats()["x509_ca"] == 1
    assert await authorization(access) == "Bearer token-of-the-pod"
    (folder / "token").write_text("rotated")
    assert await authorization(access) == "Bearer rotated"


def test_context_in_a_pod_without_a_kubeconfig_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pod(tmp_path / "account", monkeypatch, "10.0.0.1")
    with pytest.raises(ConfigError, match="--context 'c': there is no kubeconfig"):
        find_cluster(None, "c", folder)


def test_kubeconfig_in_a_pod_is_used_instead_of_its_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pod(tmp_path / "account", monkeypatch, "10.0.0.1")
    write(tmp_path / "home/.kube/config", kubeconfig())
    assert find_cluster(None, None, folder).server == "https://kube.test:6443"


def test_no_kubeconfig_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as raised:
        find_cluster(None, None, tmp_path)
    file = tmp_path / "home/.kube/config"
    assert str(raised.value) == f"{file}: there is no kubeconfig; name one with --kubeconfig or KUBECONFIG"
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a:{tmp_path}/b")
    with pytest.raises(ConfigError, match=r"/a, .*/b: there is no kubeconfig"):
        find_cluster(None, None, tmp_path)


def test_plugin_is_found_relative_to_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin(tmp_path / "folder/bin/plugin", "exit 0")
    file = write(tmp_path / "folder/config", kubeconfig(exec_user("bin/plugin")))
    monkeypatch.chdir("/")
    assert find_cluster(file, None).login is not None
    monkeypatch.setenv("PATH", str(tmp_path / "folder/bin"))
    assert find_cluster(write(file, kubeconfig(exec_user("plugin"))), None).login is not None
