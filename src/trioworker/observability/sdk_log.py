"""The log of OpenTelemetry's SDK, which is verbose: a worker passes it on to its own log at level debug."""

from __future__ import annotations

import logging

from loguru import logger


def forward_sdk_log() -> None:
    """Pass the SDK's records on from now on, instead of writing them to stderr.

    Only for our own programs: the logging of a program that embeds a job isn't changed.
    """
    logging.getLogger("opentelemetry").addHandler(_Handler())


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logger.debug("{}", record.getMessage())
