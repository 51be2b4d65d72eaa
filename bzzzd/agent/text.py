"""Text from models and programs, made fit to be shown: no control characters, or a line of bounded length."""

from __future__ import annotations


def clean(text: str) -> str:
    """Text without control characters other than line ends and tabs: a terminal may show it."""
    return "".join(char for char in text if char in "\n\t" or (char.isprintable() or char == "\u200d"))


def words(value: object, limit: int = 200) -> str:
    """Somebody else's words (or the ``message`` of a map), fit for one line of ours."""
    if isinstance(value, dict):
        value = value.get("message", value)
    return " ".join(clean(str(value)).split())[:limit]
