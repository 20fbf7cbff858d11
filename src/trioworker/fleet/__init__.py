"""Many jobs, each run by a worker of its own, which an engine starts: as a process, on Ray or on Kubernetes."""
