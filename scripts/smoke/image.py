"""The image under test: its base, from a registry or from debootstrap, and the build."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from smoke.commands import BrokenError, SkippedError, output, works
from smoke.machine import way_to_build

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGE = "localhost/trioworker:smoke"
DEFAULT_BASE = "docker.io/library/python:3.13-slim-bookworm"
"""The Containerfile's default, with a Python of its own."""
DEBIAN = "bookworm"
OWN_BASE = f"localhost/debian:{DEBIAN}-slim"
"""What debootstrap makes where the default can't be had: the system's Python joins it in the build."""
MOST_BUILD = 480.0
"""Seconds to make the base, or to build on it: one minute each, or the network is in trouble."""
MOST_FETCH = 120.0
"""Seconds to fetch the base image, some 50 MB, before the registry counts as out of reach."""

UNREAD = ("doc", "locale", "man")
"""Folders of /usr/share that nobody reads in a container, left out as in the slim images of the registries."""
PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout", "retries")
"""What of this machine's pip settings a build needs to reach the index. Paths of this machine mean nothing there."""
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Where, beside pip's own setting, a machine names the certificates that it trusts; pip looks in the first two."""


def base_image(wanted: str | None) -> str:
    """The base image to build on: `wanted`, else the default, else one made here; kept once it is there.

    Raises:
        BrokenError: `wanted` can't be had, or debootstrap failed.
        SkippedError: no registry, no debootstrap.
    """
    if wanted:
        if not works("podman", "image", "exists", wanted):
            _pull(wanted)
        return wanted
    if works("podman", "image", "exists", DEFAULT_BASE):
        return DEFAULT_BASE
    try:
        _pull(DEFAULT_BASE)
    except BrokenError:
        if not works("podman", "image", "exists", OWN_BASE):
            _make_base()
        return OWN_BASE
    return DEFAULT_BASE


def build(base: str) -> None:
    """Build `IMAGE` from the checkout.

    Raises:
        BrokenError: the build failed.
    """
    way = way_to_build(base)
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
        output("buildah", "bud", *way, *secrets, *arguments, ROOT, limit=MOST_BUILD)


def _pull(image: str) -> None:
    if not works("podman", "pull", "--quiet", image, limit=MOST_FETCH):
        raise BrokenError(f"image {image} is not here and can't be fetched; `podman pull {image}` tells why")


def _make_base() -> None:
    if not shutil.which("debootstrap") or os.geteuid() != 0:
        raise SkippedError(
            f"no registry can be reached, and to make a base image takes root and debootstrap; "
            f"become root (`apt-get install debootstrap`), or name one that is here: --base-image {OWN_BASE}"
        )
    with tempfile.TemporaryDirectory() as folder:
        output("debootstrap", "--variant=minbase", DEBIAN, folder, limit=MOST_BUILD)
        slim = "".join(f"path-exclude=/usr/share/{name}/*\n" for name in UNREAD)
        Path(folder, "etc/dpkg/dpkg.cfg.d/slim").write_text(slim)
        unwanted = [f"./usr/share/{name}/*" for name in UNREAD]
        unwanted += ["./var/cache/apt/*", "./var/lib/apt/lists/*", "./var/log/*", "./dev/*"]
        pack = ("tar", "--directory", folder, *(f"--exclude={path}" for path in unwanted), "--create", ".")
        with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
            imported = subprocess.run(
                ("podman", "import", "--quiet", "-", OWN_BASE), stdin=packing.stdout, capture_output=True, check=False
            )
        if packing.returncode or imported.returncode:
            raise BrokenError(f"podman import failed: {imported.stderr.decode(errors='replace').strip()}")


def _pip_secrets(folder: Path) -> list[str]:
    """Build options that hand on how this machine reaches its package index. Nothing of it stays in the image."""
    settings = _pip_settings()
    lines = ["[global]"]
    lines += [f"{key} = {value.replace(os.linesep, ' ')}" for key, value in settings.items() if key in PIP_SETTINGS]
    options: list[str] = []
    named = (settings.get("cert"), *(os.environ.get(name) for name in CERTIFICATE_VARIABLES))
    certificates = next((path for path in named if path and Path(path).is_file()), None)
    if certificates:
        lines.append("cert = /run/secrets/ca.crt")
        options += ["--secret", f"id=ca.crt,src={certificates}"]
    configuration = folder / "pip.conf"
    configuration.write_text("\n".join(lines) + "\n")
    return [*options, "--secret", f"id=pip.conf,src={configuration}"]


def _pip_settings() -> dict[str, str]:
    """pip's settings here, from its files and, last and strongest, from variables."""
    settings: dict[str, str] = {}
    lines = output(ROOT / ".venv/bin/python", "-m", "pip", "config", "list").splitlines()
    for line in sorted(lines, key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    return settings
