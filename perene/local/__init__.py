"""A real single-node Kubernetes on the operator's own computer, for machines without Docker or a container registry."""
