"""Runs workers as Jobs of a Kubernetes cluster (extra: `kubernetes`)."""
