"""Thin wrappers of Linux system calls and of procfs. Imports nothing of ours."""
