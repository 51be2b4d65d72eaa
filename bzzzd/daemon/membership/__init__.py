"""Membership: the charter, grants and the log of members, and how nodes and people come in, stay, and go."""
