"""One node for one user, as ``scripts/run`` starts it: a state folder, two processes, a real task."""
