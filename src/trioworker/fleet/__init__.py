"""Many jobs, each a worker of its own, started by an engine: this machine's processes, Ray or Kubernetes."""
