"""The processes of a job: starting, ownership, termination and the sandbox."""
