"""Finds a fleet's cluster and logs in to it, by the rules of kubectl."""
