"""Threads on a node: kept, spread between nodes, and served to callers."""
