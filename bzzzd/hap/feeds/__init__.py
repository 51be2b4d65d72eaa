"""Readers of what the daemon sends, a module a room; ``feed.py`` says which answers go to which."""
