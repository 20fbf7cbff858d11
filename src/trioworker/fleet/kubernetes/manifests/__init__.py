"""The Kubernetes objects of a job, into which a pod template is merged."""
