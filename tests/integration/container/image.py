"""The image under test: its base, from a registry or from debootstrap, and the build."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from integration.container.commands import CommandError, MissingError, output, succeeds
from integration.container.machine import find_build_options

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "localhost/trioworker:test"
DEFAULT_BASE = "docker.io/library/python:3.13-slim-bookworm"
"""The Containerfile's default, which has its own Python."""
DEBIAN = "bookworm"
OWN_BASE = f"localhost/debian:{DEBIAN}-slim"
"""Made by debootstrap where the default can't be pulled; the build adds the system's Python."""
BUILD_LIMIT = 480.0
"""Seconds to make the base image, or to build on it; each takes one minute."""
PULL_LIMIT = 120.0
"""Seconds to pull the base image of about 50 MB."""

UNNEEDED = ("doc", "locale", "man")
"""Folders of /usr/share that are left out, as in the slim images of the registries."""
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
"""This machine's pip settings that a build needs to reach the package index; without paths, which differ there."""
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables that name trusted certificates, besides pip's own setting; pip reads the first two."""


def base_image() -> str:
    """The base image to build on: TRIOWORKER_TEST_BASE_IMAGE, else the default, else one made here and kept.

    Raises:
        CommandError: the requested image can't be pulled, or debootstrap failed.
        MissingError: there is no registry and no debootstrap.
    """
    requested = os.environ.get("TRIOWORKER_TEST_BASE_IMAGE")
    if _available(requested or DEFAULT_BASE):
        return requested or DEFAULT_BASE
    if requested:
        raise CommandError(f"image {requested} can't be pulled; see `podman pull {requested}`")
    if not succeeds("podman", "image", "exists", OWN_BASE):
        _make_base()
    return OWN_BASE


def build(prefix: Sequence[str], base: str) -> None:
    """Build `IMAGE` from the checkout; `prefix` comes before each command.

    Raises:
        CommandError: the build failed.
        MissingError: buildah can't run commands here.
    """
    options = find_build_options(prefix, base)
    with tempfile.TemporaryDirectory() as folder:
        secrets = _pip_secrets(Path(folder))
        arguments = (
            "--format",
            "docker",
            "--layers",
            "--build-arg",
            f"BASE_IMAGE={base}",
            "--tag",
            IMAGE,
            "--file",
            ROOT / "Containerfile",
        )
        output(*prefix, "buildah", "bud", *options, *secrets, *arguments, ROOT, limit=BUILD_LIMIT)


def _available(image: str) -> bool:
    exists = succeeds("podman", "image", "exists", image)
    return exists or succeeds("podman", "pull", "--quiet", image, limit=PULL_LIMIT)


def _make_base() -> None:
    if not shutil.which("debootstrap") or os.geteuid() != 0:
        raise MissingError(
            "no registry can be reached, and making a base image needs root and debootstrap "
            "(`apt-get install debootstrap`); or set TRIOWORKER_TEST_BASE_IMAGE to a local image"
        )
    with tempfile.TemporaryDirectory() as folder:
        output("debootstrap", "--variant=minbase", DEBIAN, folder, limit=BUILD_LIMIT)
        slim = "".join(f"path-exclude=/usr/share/{name}/*\n" for name in UNNEEDED)
        Path(folder, "etc/dpkg/dpkg.cfg.d/slim").write_text(slim)
        unwanted = [f"./usr/share/{name}/*" for name in UNNEEDED]
        unwanted += ["./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*", "./dev/*"]
        pack = ("tar", "--directory", folder, *(f"--exclude={path}" for path in unwanted), "--create", ".")
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
            imported = subprocess.run(
                ("podman", "import", "--quiet", "-", OWN_BASE), stdin=packing.stdout, capture_output=True, check=False
            )
        if packing.returncode or imported.returncode:
            raise CommandError(f"podman import failed: {imported.stderr.decode(errors='replace').strip()}")


def _pip_secrets(folder: Path) -> list[str]:
    """Build options with this machine's access to the package index, of which nothing stays in the image."""
    settings = _pip_settings()
    lines = ["[global]"]
    lines += [f"{key} = {value.replace(os.linesep, ' ')}" for key, value in settings.items() if key in PIP_SETTINGS]
    options: list[str] = []
    paths = (settings.get("cert"), *(os.environ.get(name) for name in CERTIFICATE_VARIABLES))
    certificates = next((path for path in paths if path and Path(path).is_file()), None)
    if certificates:
        lines.append("cert = /run/secrets/ca.crt")
        options += ["--secret", f"id=ca.crt,src={certificates}"]
    configuration = folder / "pip.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return [*options, "--secret", f"id=pip.conf,src={configuration}"]


def _pip_settings() -> dict[str, str]:
    """This machine's pip settings; variables override files."""
    settings: dict[str, str] = {}
    lines = output(sys.executable, "-m", "pip", "config", "list").splitlines()
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return settings
