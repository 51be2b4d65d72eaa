"""The agent and people: what it asks them, how it waits, and what it makes of their answers."""
