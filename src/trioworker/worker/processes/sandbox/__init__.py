"""Confining the tools' processes by what the kernel offers; see `docs/containment.md`."""
