"""Man pages and shell completion, written from the commands' own definitions."""
