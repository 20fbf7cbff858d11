"""The exporters of OpenTelemetry's SDK that `OTEL_TRACES_EXPORTER` may name. Imports the SDK."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

STDERR = 2


def create_exporter(name: str) -> SpanExporter:
    """Create the exporter `otlp` or `console`.

    Raises:
        ImportError: its package is not installed.
        ValueError: there is no such exporter.
    """
    match name:
        case "otlp":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            return OTLPSpanExporter()
        case "console":
            from opentelemetry.sdk.trace.export import ConsoleSpanExporter

            # One line for each span.
            return ConsoleSpanExporter(
                out=cast("TextIO", _StandardError()), formatter=lambda span: f"{span.to_json(indent=None)}\n"
            )
        case _:
            raise ValueError(f"OTEL_TRACES_EXPORTER={name}: no such exporter; use otlp, console or none")


class _StandardError:
    """Standard error without the lock of `sys.stderr`: a thread that is abandoned in a write must not block the exit.

    Standard output is left to the outcome of the job.
    """

    def write(self, text: str) -> None:
        data = memoryview(text.encode("utf-8", "backslashreplace"))
        while data:
            data = data[os.write(STDERR, data) :]

    def flush(self) -> None:
        """Do nothing: there is no buffer."""
