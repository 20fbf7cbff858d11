"""Supervision for any trio program: a restart policy and nursery helpers."""
