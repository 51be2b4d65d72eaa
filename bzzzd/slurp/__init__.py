"""SLURP words: tasks, leases, fencing tokens and matching."""
