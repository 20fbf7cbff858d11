"""Prompts and reply interpretation, without I/O."""
