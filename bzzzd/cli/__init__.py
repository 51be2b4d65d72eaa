"""The command-line door: bzzz, for scripts and administration."""
