"""Workers on a Ray cluster.

`engine` is the fleet's side, under trio. It starts `driver`, a process that is Ray's driver: Ray ends that process if
the cluster is gone for a minute, and hangs if another cluster takes its place. For each job, the driver creates a
`runner`, an actor on any node with free resources.
"""
