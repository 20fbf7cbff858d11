"""Texts of pod templates."""

from __future__ import annotations


def in_worker(fields: str) -> str:
    """A template with these fields of the worker's container."""
    return f"spec: {{containers: [{{name: worker, {fields}}}]}}"
