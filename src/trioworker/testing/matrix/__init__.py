"""The cancel matrix: runs a trio program once per checkpoint and cancels it there. It needs only trio."""
