"""The functions that run commands: each takes a ``Run`` and gives the exit status."""
