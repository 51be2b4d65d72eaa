"""Markdown to prose, and prose to a length: what a small model can read."""

from __future__ import annotations

import re
from typing import Final

# In this order: blocks that are no prose go first, then the marks around what is.
_RULES: Final = (
    (re.compile(r"^(```|~~~).*?(^\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL), ""),
    (re.compile(r"^( {4}|\t).*$", re.MULTILINE), ""),
    (re.compile(r"<!--.*?-->", re.DOTALL), ""),
    (re.compile(r"^[ \t]*\|.*$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*([-*_][ \t]*){3,}$|^[ \t]*[=-]{3,}[ \t]*$", re.MULTILINE), ""),
    (re.compile(r"!\[([^\]\n]*)\]\([^)\n]*\)"), ""),
    (re.compile(r"\[([^\]\n]+)\]\([^)\n]*\)|\[([^\]\n]+)\]\[[^\]\n]*\]"), r"\1\2"),
    (re.compile(r"</?[A-Za-z][^>\n]{0,200}>"), ""),
    (re.compile(r"^ {0,3}#{1,6}[ \t].*$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(>[ \t]?|[-*+][ \t]+|\d{1,3}[.)][ \t]+)+", re.MULTILINE), ""),
    (re.compile(r"(\*\*|__|\*|~~|`+)(?=\S)(.+?)(?<=\S)\1"), r"\2"),
)
_SENTENCE_END: Final = re.compile(r"[.!?][\"')\]]?(?=\s|\Z)")


def prose(markdown: str) -> str:
    """The running text: no code, tables, headings or marks, each paragraph on one line."""
    text = markdown
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text))
    return "\n\n".join(part for part in paragraphs if part)


def shorten(text: str, limit: int) -> str:
    """The beginning of ``text`` in at most ``limit`` characters: whole sentences if there are any, else whole words."""
    if len(text) <= limit:
        return text
    head = text[:limit]
    ends = [match.end() for match in _SENTENCE_END.finditer(head)]
    if ends and ends[-1] >= limit // 2:
        return head[: ends[-1]]
    return head.rsplit(None, 1)[0] if " " in head else head
