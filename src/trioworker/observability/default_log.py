"""The log of the package is disabled until a program enables it, as loguru recommends to libraries."""

from __future__ import annotations

from loguru import logger

PACKAGE = "trioworker"


def disable_log() -> None:
    """Disable the log, unless the program has already called `logger.enable("trioworker")`.

    Called when the package is imported, if loguru already is; else when the first module that logs is imported:
    `import trioworker` imports no dependency.
    """
    # loguru has no public way to ask.
    settings: list[tuple[str, bool]] = getattr(getattr(logger, "_core", None), "activation_list", [])
    if not any(name == f"{PACKAGE}." for name, _ in settings):
        logger.disable(PACKAGE)
