"""The few words of man(7) that our pages are made of."""

from __future__ import annotations

from collections.abc import Iterable


def escape(text: str) -> str:
    """Text as roff prints it: no control line, no escape, and minus signs that can be copied."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return f"\\&{text}" if text[:1] in ".'" else text


def bold(text: str) -> str:
    return f"\\fB{escape(text)}\\fR"


def heading(name: str, section: int, date: str, version: str) -> str:
    return f'.TH "{name.upper()}" "{section}" "{date}" "BZZZ {version}" "BZZZ"'


def part(title: str, lines: Iterable[str]) -> list[str]:
    return [f'.SH "{title}"', *lines]


def item(term: str, text: str) -> list[str]:
    """A term in its own line, and what it means below; ``term`` is roff already."""
    return [".TP", term, escape(text)]


def page(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
