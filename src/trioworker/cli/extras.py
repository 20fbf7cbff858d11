"""The extras that modules of other projects belong to, for the error where one isn't installed."""

from __future__ import annotations

from trioworker.errors import ConfigError

EXTRAS = {
    "local": ("starlette", "hypercorn", "rich", "markdown_it", "yaml"),
    "otel": ("opentelemetry",),
    "ray": ("ray",),
}
"""The modules that each extra installs."""


def missing_extra(error: ModuleNotFoundError) -> ConfigError | None:
    """The error with the command that installs the missing module; None if no extra does."""
    module = (error.name or "").partition(".")[0]
    extra = next((extra for extra, modules in EXTRAS.items() if module in modules), None)
    if extra is None:
        return None
    # zsh takes unquoted brackets for a pattern.
    return ConfigError(f"the module {module} is not installed; install the extra: pip install 'trioworker[{extra}]'")
