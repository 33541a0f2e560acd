"""The verbs on a cluster: what they let workers do, and the functions that run there."""
