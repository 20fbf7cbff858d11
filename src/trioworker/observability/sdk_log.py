"""The log of OpenTelemetry's SDK, which is verbose: a worker passes it on to its own log at level debug."""

from __future__ import annotations

import logging

from loguru import logger


def forward_sdk_log() -> None:
    """Pass the SDK's records on from now on, in place of writing them to stderr.

    For programs of ours: the logging of one that embeds a job isn't touched.
    """
    logging.getLogger("opentelemetry").addHandler(_Handler())


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        logger.debug("{}", record.getMessage())
