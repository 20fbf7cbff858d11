"""The requests that a fleet makes of the Kubernetes API, and what its answers mean."""
