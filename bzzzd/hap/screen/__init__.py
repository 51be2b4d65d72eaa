"""The terminal as a surface: keys in, frames out, and the terminal given back as it was."""
