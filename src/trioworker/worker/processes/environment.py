"""The environment of commands, and how the bearer token is wiped from ours.

A command inherits only allowed variables. Settings that keep programs from asking for input and the job's credentials
are added. The token is wiped from our memory before the first tool runs, including the copy in `/proc/PID/environ`.
"""

from __future__ import annotations

import os
import pwd
import re
from typing import TYPE_CHECKING

from trioworker.linux.syscalls import forbid_inspection
from trioworker.protocol.values import TOKEN_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_VARIABLES = (TOKEN_VARIABLE, "TRIOWORKER_TOKEN")
"""Variables that may hold the bearer token; no command gets them."""

_SESSION = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TERM COLORTERM TMPDIR TEMP TMP HOSTNAME XDG_CACHE_HOME XDG_CONFIG_HOME
    XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME
"""
_TOOLCHAINS = """
    CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN GOPATH GOROOT GOPROXY GOFLAGS GOCACHE GOMODCACHE JAVA_HOME M2_HOME
    MAVEN_HOME GRADLE_USER_HOME GRADLE_HOME ANDROID_HOME DOTNET_ROOT NVM_DIR NODE_PATH NODE_OPTIONS NPM_CONFIG_CACHE
    NPM_CONFIG_PREFIX NPM_CONFIG_REGISTRY PNPM_HOME YARN_CACHE_FOLDER BUN_INSTALL DENO_DIR PYENV_ROOT VIRTUAL_ENV
    CONDA_PREFIX PYTHONPATH PIP_CACHE_DIR PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST UV_CACHE_DIR UV_INDEX_URL
    UV_DEFAULT_INDEX UV_PYTHON_INSTALL_DIR POETRY_HOME GEM_HOME GEM_PATH BUNDLE_PATH RBENV_ROOT COMPOSER_HOME
    CC CXX CFLAGS CXXFLAGS LDFLAGS MAKEFLAGS PKG_CONFIG_PATH LD_LIBRARY_PATH SOURCE_DATE_EPOCH
"""
_NETWORK = """
    HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy ftp_proxy all_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS PIP_CERT
"""
_GIT = """
    GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_CONFIG_GLOBAL GIT_CONFIG_NOSYSTEM
"""
ALLOWED = frozenset(f"{_SESSION} {_TOOLCHAINS} {_NETWORK} {_GIT}".split())
"""Variables that a command inherits. Any other may be a secret."""

ALLOWED_PREFIXES = ("LC_",)

UNATTENDED = {
    "CI": "1",
    "DEBIAN_FRONTEND": "noninteractive",
    "GIT_EDITOR": "true",
    "GIT_PAGER": "cat",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
    "GIT_TERMINAL_PROMPT": "0",
    "MANPAGER": "cat",
    "NPM_CONFIG_YES": "true",
    "PAGER": "cat",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PYTHONUNBUFFERED": "1",
    "SYSTEMD_PAGER": "cat",
}
"""Keeps programs from waiting for an answer, a pager or an editor. Unbuffered output is not lost at a time-out."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of commands if ours is not set; Debian's default."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def child_environment(environ: Mapping[str, str], credentials: Mapping[str, str]) -> dict[str, str]:
    """The environment of commands, from our environment and the job's credentials.

    Omits credentials whose name or value is invalid in an environment, and those with a name of the token.
    """
    allowed = {name: value for name, value in environ.items() if name in ALLOWED or name.startswith(ALLOWED_PREFIXES)}
    granted = {name: value for name, value in credentials.items() if _NAME.fullmatch(name) and "\0" not in value}
    child = {"PATH": DEFAULT_PATH, "LANG": "C.UTF-8", **allowed, **UNATTENDED, **granted}
    # Container engines set HOME to "/", which is not writable, for a user without an entry in /etc/passwd.
    if child.get("HOME", "") in ("", "/"):
        child["HOME"] = _home() or child.get("TMPDIR", "/tmp")  # noqa: S108 - the last resort, not a file of ours
    for name in TOKEN_VARIABLES:
        child.pop(name, None)
    return child


def forget_token() -> None:
    """Wipe the token from our environment and `/proc`, and deny other processes of this user access to our memory.

    Call it as soon as the configuration has been read. Idempotent.
    """
    for name in TOKEN_VARIABLES:
        os.environ.pop(name, None)
    _wipe([name.encode() + b"=" for name in TOKEN_VARIABLES])
    forbid_inspection()


def _home() -> str | None:
    """This user's home in /etc/passwd, if it is writable."""
    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        return None
    return home if home != "/" and os.access(home, os.W_OK) else None


def _wipe(prefixes: list[bytes]) -> None:
    """Overwrite the variables in the block that the kernel copied onto our stack when this process was started.

    Nothing refers to them after they were unset. The block's address comes from `/proc/self/stat`; its content is
    compared to `/proc/self/environ` before anything is written.
    """
    import ctypes

    try:
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        with open("/proc/self/environ", "rb") as file:
            block = file.read()
    except OSError:
        return  # no /proc, or no access to it since an earlier call
    # env_start and env_end are fields 50 and 51 (proc_pid_stat(5)); our first field is the third, the state.
    start, end = int(fields[47]), int(fields[48])
    if start == 0 or end - start != len(block) or ctypes.string_at(start, len(block)) != block:
        return
    position = 0
    for entry in block.split(b"\0"):
        if entry.startswith(tuple(prefixes)):
            ctypes.memset(start + position, 0, len(entry))
        position += len(entry) + 1
