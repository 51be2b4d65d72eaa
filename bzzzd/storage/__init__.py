"""The storage organ: journal, encrypted content, versions and context."""
