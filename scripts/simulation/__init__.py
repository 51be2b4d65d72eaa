"""A mesh of many nodes in one process: the pure rules of the real nodes over a simulated network and clock."""
