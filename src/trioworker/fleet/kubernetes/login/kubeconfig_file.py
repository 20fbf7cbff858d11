"""Kubeconfig files: their fields, and how several of them are merged.

The rules are those of kubectl: for each name, and for the current context, the first file that sets it wins. A relative
path is relative to the file that contains it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from trioworker.errors import ConfigError
from trioworker.protocol.control_characters import escape_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MAX_BYTES = 4 * 1024 * 1024
"""The maximum size of a file: a kubeconfig with a thousand clusters is smaller."""
_CORRECT = "correct it, or choose another file with --kubeconfig"


class _Fields(msgspec.Struct, frozen=True, kw_only=True, rename="kebab"):
    def __repr__(self) -> str:
        # The fields include secrets.
        return f"{type(self).__name__}(…)"


class Context(_Fields, frozen=True):
    """A cluster, a user and a namespace."""

    cluster: str | None = None
    user: str | None = None
    namespace: str | None = None


class Extension(msgspec.Struct, frozen=True, kw_only=True):
    """Data for other programs."""

    name: str
    extension: Any = None


class Cluster(_Fields, frozen=True):
    """Where an API server is, and how it is verified."""

    server: str | None = None
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None
    extensions: list[Extension] | None = None


class Variable(msgspec.Struct, frozen=True, kw_only=True):
    """An environment variable of a plugin."""

    name: str
    value: str | None = None


class Exec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How to run a credential plugin."""

    api_version: str | None = None
    command: str | None = None
    args: list[str] | None = None
    env: list[Variable] | None = None
    install_hint: str | None = None
    interactive_mode: str | None = None
    provide_cluster_info: bool | None = None


class AuthProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A login method that was built into kubectl before there were plugins."""

    name: str | None = None


class User(_Fields, frozen=True):
    """How to log in, and the user to act as."""

    token: str | None = None
    token_file: str | None = msgspec.field(name="tokenFile", default=None)
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    username: str | None = None
    password: str | None = None
    exec: Exec | None = None
    auth_provider: AuthProvider | None = None
    as_user: str | None = msgspec.field(name="as", default=None)
    as_uid: str | None = None
    as_groups: list[str] | None = None
    as_user_extra: dict[str, list[str]] | None = None


class _NamedContext(_Fields, frozen=True):
    name: str
    context: Context | None = None


class _NamedCluster(_Fields, frozen=True):
    name: str
    cluster: Cluster | None = None


class _NamedUser(_Fields, frozen=True):
    name: str
    user: User | None = None


class _File(_Fields, frozen=True):
    kind: str | None = None
    current_context: str | None = None
    contexts: list[_NamedContext] | None = None
    clusters: list[_NamedCluster] | None = None
    users: list[_NamedUser] | None = None


T = TypeVar("T", Context, Cluster, User)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A context, a cluster or a user. `place` says where it is defined, for errors."""

    place: str
    value: T


@dataclass
class Kubeconfig:
    """The files that exist, merged."""

    files: list[Path] = field(default_factory=list[Path])
    current_context: str = ""
    contexts: dict[str, Entry[Context]] = field(default_factory=dict[str, Entry[Context]])
    clusters: dict[str, Entry[Cluster]] = field(default_factory=dict[str, Entry[Cluster]])
    users: dict[str, Entry[User]] = field(default_factory=dict[str, Entry[User]])

    @property
    def is_empty(self) -> bool:
        """Whether no file says anything."""
        return not (self.current_context or self.contexts or self.clusters or self.users)

    @property
    def place(self) -> str:
        """The files, for errors."""
        return ", ".join(map(str, self.files))


def usual_files(environ: Mapping[str, str]) -> list[Path]:
    """Return the files of KUBECONFIG; if it isn't set, the one in the home folder."""
    if named := environ.get("KUBECONFIG"):
        return [Path(name) for name in named.split(os.pathsep) if name]
    try:
        return [Path.home() / ".kube" / "config"]
    except RuntimeError:
        return []


def read_kubeconfig(files: Iterable[Path], *, required: bool) -> Kubeconfig:
    """Read and merge the files. Those that don't exist are skipped unless they are `required`.

    Raises:
        ConfigError: a file can't be read, or isn't a kubeconfig.
    """
    merged = Kubeconfig()
    for file in files:
        content = _read(file, required=required)
        if content is not None:
            _merge(merged, file, _decode(file, content))
    return merged


def read_file(path: Path) -> bytes:
    """Return the content of a small file.

    Raises:
        ValueError: it can't be read, or is too large. The message is the reason.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError((error.strerror or str(error)).lower()) from error
    except ValueError as error:
        raise ValueError("not a valid path") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES} bytes")
    return content


def config_error(place: str, problem: str) -> ConfigError:
    """Return the error about an entry or a file, in one line."""
    return ConfigError(escape_line(f"{place}: {problem}"))


def _read(file: Path, *, required: bool) -> bytes | None:
    try:
        return read_file(file)
    except ValueError as error:
        if not required and isinstance(error.__cause__, FileNotFoundError):
            return None
        raise config_error(str(file), f"{error}; {_CORRECT}") from error


def _merge(merged: Kubeconfig, file: Path, decoded: _File) -> None:
    folder = file.absolute().parent
    merged.files.append(file)
    merged.current_context = merged.current_context or decoded.current_context or ""
    for each in decoded.contexts or ():
        merged.contexts.setdefault(each.name, _entry(file, "context", each.name, each.context or Context()))
    for each in decoded.clusters or ():
        cluster = _resolved(each.cluster or Cluster(), folder, "certificate_authority")
        merged.clusters.setdefault(each.name, _entry(file, "cluster", each.name, cluster))
    for each in decoded.users or ():
        user = _resolved(each.user or User(), folder, "client_certificate", "client_key", "token_file")
        # A plain name is looked up in PATH.
        if user.exec and user.exec.command and os.sep in user.exec.command:
            command = str(folder / user.exec.command)
            user = msgspec.structs.replace(user, exec=msgspec.structs.replace(user.exec, command=command))
        merged.users.setdefault(each.name, _entry(file, "user", each.name, user))


def _entry(file: Path, kind: str, name: str, value: T) -> Entry[T]:
    return Entry(f"{file}: {kind} {name[:100]!r}", value)


def _resolved(entry: T, folder: Path, *names: str) -> T:
    paths = {name: str(folder / path) for name in names if (path := getattr(entry, name))}
    return msgspec.structs.replace(entry, **paths)


def _decode(file: Path, content: bytes) -> _File:
    try:
        decoded = msgspec.convert(_load(file, content) or {}, _File)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        place = path.strip(".`") or "the file"
        raise config_error(str(file), f"{place}: {problem[:1].lower()}{problem[1:]}; {_CORRECT}") from error
    except RecursionError as error:
        raise config_error(str(file), f"nested too deeply; {_CORRECT}") from error
    if decoded.kind not in {None, "", "Config"}:
        raise config_error(str(file), f"a {decoded.kind}, not a kubeconfig; {_CORRECT}")
    return decoded


def _load(file: Path, content: bytes) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """Reads dates as text: a name may look like one."""

        yaml_implicit_resolvers = {  # noqa: RUF012 - as in the base class
            first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
            for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

    if content.lstrip().startswith(b"{"):
        try:
            # Unlike YAML, JSON may be indented by tabs.
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    try:
        return yaml.load(content, Loader)  # noqa: S506 - a safe loader
    except RecursionError as error:
        raise config_error(str(file), f"nested too deeply; {_CORRECT}") from error
    # A tag that doesn't fit its value may raise any of these.
    except (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}"
        # PyYAML's own message quotes the file, which contains secrets.
        raise config_error(str(file), f"not valid YAML{place}; {_CORRECT}") from None
