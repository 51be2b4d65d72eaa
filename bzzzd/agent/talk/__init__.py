"""The agent on its task's thread: it proposes, asks, listens and says what it decided."""
