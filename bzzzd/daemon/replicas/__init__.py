"""Versions on several nodes: where they belong, how they get there, and how they are read from anywhere."""
