"""HMMM words: threads of conversation between agents and people."""
