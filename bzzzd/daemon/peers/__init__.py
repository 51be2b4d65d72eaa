"""Peers: where this node listens, whom it knows, and how they look from here."""
