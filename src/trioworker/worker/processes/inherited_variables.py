"""Which of the worker's variables its commands inherit.

On a workstation, they belong to a person, and any of them may be a secret: only known ones are inherited. In a
container, they were set for the job: all are inherited except the worker's own and those that look like a secret.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

_SESSION = """
    PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TERM COLORTERM TMPDIR TEMP TMP HOSTNAME XDG_CACHE_HOME XDG_CONFIG_HOME
    XDG_DATA_HOME XDG_RUNTIME_DIR XDG_STATE_HOME
"""
_TOOLCHAINS = """
    CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN GOPATH GOROOT GOPROXY GOFLAGS GOCACHE GOMODCACHE JAVA_HOME M2_HOME
    MAVEN_HOME GRADLE_USER_HOME GRADLE_HOME ANDROID_HOME DOTNET_ROOT NVM_DIR NODE_PATH NODE_OPTIONS NPM_CONFIG_CACHE
    NPM_CONFIG_PREFIX NPM_CONFIG_REGISTRY npm_config_registry PNPM_HOME YARN_CACHE_FOLDER BUN_INSTALL DENO_DIR
    PYENV_ROOT VIRTUAL_ENV CONDA_PREFIX PYTHONPATH PIP_CACHE_DIR PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
    UV_CACHE_DIR UV_INDEX_URL UV_DEFAULT_INDEX UV_PYTHON_INSTALL_DIR POETRY_HOME GEM_HOME GEM_PATH BUNDLE_PATH
    RBENV_ROOT COMPOSER_HOME
    CC CXX CFLAGS CXXFLAGS LDFLAGS MAKEFLAGS PKG_CONFIG_PATH LD_LIBRARY_PATH SOURCE_DATE_EPOCH
"""
_NETWORK = """
    HTTP_PROXY HTTPS_PROXY FTP_PROXY ALL_PROXY NO_PROXY http_proxy https_proxy ftp_proxy all_proxy no_proxy
    SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO NODE_EXTRA_CA_CERTS PIP_CERT
"""
_GIT = """
    GIT_AUTHOR_NAME GIT_AUTHOR_EMAIL GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM
    GIT_CONFIG_NOSYSTEM
"""
ALLOWED = frozenset(f"{_SESSION} {_TOOLCHAINS} {_NETWORK} {_GIT}".split())
"""Variables that commands always inherit, whatever their values: without some, there is no network access."""
ALLOWED_PREFIXES = ("LC_",)

OWN_PREFIXES = ("IRONCLAW_", "TRIOWORKER_", "OTEL_")
"""Variables of the worker itself; those of OpenTelemetry may contain a key."""
OF_THE_SHELL = frozenset(("PWD", "OLDPWD", "SHLVL", "_"))
"""Variables that a shell sets for itself; a command runs in another folder."""
GIT_CONFIG_PAIRS = re.compile(r"GIT_CONFIG_(?:COUNT|KEY_\d+|VALUE_\d+)")
"""Configuration of git in variables; `git_config.py` handles it."""

_SECRET_NAME = re.compile(
    # Anywhere, since words are often joined: PGPASSWORD, GITHUBTOKEN. TOKENIZERS_PARALLELISM isn't a secret.
    r"TOKEN(?!IZ)|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|APIKEY|CONNECTION_?STRING|WEBHOOK"
    # Whole words: KEYBOARD, MONKEY, COMPASS, PATH, SSH_AUTH_SOCK and PWD aren't secrets.
    r"|(?:^|_)(?:KEYS?|PASS|PAT|CREDS?|AUTH|DSN|JWT|COOKIE)(?:$|_(?!SOCK))|_PWD$"
)
_URL_WITH_PASSWORD = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s/:@]{0,200}:[^\s/@]{1,200}@")


def inherited(
    environ: Mapping[str, str], *, contained: bool, pass_env: Container[str], holds_secret: Callable[[str], bool]
) -> dict[str, str]:
    """The variables of `environ` that commands inherit, without those of `GIT_CONFIG_PAIRS`.

    `contained`: the worker runs in a container. `pass_env` are the names of variables that are inherited even if they
    look like a secret. `holds_secret` recognizes secrets in values.
    """

    def is_inherited(name: str, value: str) -> bool:
        if name in pass_env or name in ALLOWED or name.startswith(ALLOWED_PREFIXES):
            return True
        if not contained or name.startswith(OWN_PREFIXES) or name in OF_THE_SHELL:
            return False
        return not looks_secret(name, value, holds_secret)

    return {
        name: value
        for name, value in environ.items()
        if not GIT_CONFIG_PAIRS.fullmatch(name) and is_inherited(name, value)
    }


def looks_secret(name: str, value: str, holds_secret: Callable[[str], bool]) -> bool:
    """Whether a variable looks like a secret by its name or its value."""
    return bool(_SECRET_NAME.search(name.upper()) or _URL_WITH_PASSWORD.search(value) or holds_secret(value))
