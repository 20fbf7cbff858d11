"""Redaction of secrets, and injection markers, for everything that a tool outputs."""
