"""The opening of a Markdown page as plain prose: what the sample task asks the model to summarise."""

from __future__ import annotations

import re

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"[*_`]+(?=\S)|(?<=\S)[*_`]+")
_NOT_PROSE = re.compile(r"\s*(#|[-*+] |\d+\. |>|\||!\[|<|---|===|```|~~~)|^(    |\t)")


def opening(markdown: str, limit: int = 1200) -> str:
    """Whole paragraphs before the first section, without lists, tables, code and marks, up to ``limit`` letters.

    A page that begins with a section gives that section's; a first paragraph that is longer is cut after a sentence.
    """
    sections = re.split(r"(?m)^##+ .*$", markdown)
    paragraphs = next((found for section in sections if (found := _paragraphs(section))), [])
    kept: list[str] = []
    for paragraph in paragraphs:
        if sum(map(len, kept)) + 2 * len(kept) + len(paragraph) > limit:
            break
        kept.append(paragraph)
    else:
        return "\n\n".join(kept)
    return "\n\n".join(kept) if kept else _cut(paragraph, limit)


def _paragraphs(markdown: str) -> list[str]:
    """Paragraphs of prose. A page's short lead-ins (ending in a colon) belong to lists and are left out."""
    found, in_code = [], False
    for block in re.split(r"\n\s*\n", markdown):
        fences = len(re.findall(r"(?m)^\s*(?:```|~~~)", block))
        skip = in_code or fences or _NOT_PROSE.match(block)
        in_code ^= bool(fences % 2)
        text = " ".join(_MARKS.sub("", _LINK.sub(r"\1", block)).split())
        if not skip and text and not text.endswith(":"):
            found.append(text)
    return found


def _cut(paragraph: str, limit: int) -> str:
    end = max(paragraph.rfind(mark, 0, limit) for mark in (". ", "! ", "? "))
    return paragraph[: end + 1] if end > 0 else paragraph[:limit].rsplit(" ", 1)[0]
