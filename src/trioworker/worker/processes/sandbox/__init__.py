"""The sandbox of commands: Landlock, `no_new_privs` and resource limits; see `docs/containment.md`."""
