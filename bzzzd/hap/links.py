"""Links by OSC 8: addresses in text become links of the terminal, with themselves as their target.

Only ``http``, ``https`` and ``ucxl`` addresses are links, only of plain printable ASCII, and what is shown is
always the target itself: no text can lead elsewhere than it says. An address that is broken over two rows has
its whole target on both.

A link is part of a segment's style: ``style`` and target, with a line break between them, which no style has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from zlib import crc32

from bzzzd.hap.text import wrap

Segment = tuple[str, str]
TARGET_MAX = 2048

_ADDRESS = re.compile(r"(?<![A-Za-z0-9+.-])(?:https?|ucxl)://[!-~]+", re.IGNORECASE)
_SAFE = re.compile(r"(?:https?|ucxl)://[!-~]+", re.IGNORECASE)
_TAIL = ".,;:!?'\"`*>)]}"  # ends the sentence rather than the address
_PAIRS = {")": "(", "]": "[", "}": "{"}


def can_link(environ: Mapping[str, str]) -> bool:
    """Whether the terminal takes OSC 8 or leaves it out silently; consoles and screen print parts of it."""
    term = environ.get("TERM", "")
    if environ.get("STY") or term.startswith(("linux", "dumb", "vt", "rxvt", "Eterm", "cons")):
        return False
    return bool(term) and (not term.startswith("screen") or bool(environ.get("TMUX")))


def linked(style: str, target: str) -> str:
    """The style of text that leads to ``target``; the style alone when the target is not one to link."""
    return f"{style}\n{target}" if len(target) <= TARGET_MAX and _SAFE.fullmatch(target) else style


def parts(style: str) -> tuple[str, str]:
    """A style without its link, and the link's target or nothing."""
    bare, _, target = style.partition("\n")
    return bare, target


def find(text: str) -> list[tuple[int, int]]:
    """Where the addresses of a line begin and end."""
    found = []
    for match in _ADDRESS.finditer(text):
        start, end = match.span()
        while end > start and text[end - 1] in _TAIL:
            closing = text[end - 1]
            opened = _PAIRS.get(closing)
            if opened and text.count(opened, start, end) >= text.count(closing, start, end):
                break  # it closes a bracket that the address itself opened
            end -= 1
        if text[start:end].partition("://")[2] and end - start <= TARGET_MAX:
            found.append((start, end))
    return found


def wrapped(line: str, columns: int, style: str = "base", link: str = "info") -> list[list[Segment]]:
    """One line of text in rows of at most ``columns``, its addresses as links also where they are broken."""
    spans = find(line) if "://" in line else []
    rows = wrap(line, columns)
    if not spans:
        return [[(style, row)] for row in rows]
    found: list[list[Segment]] = []
    position = 0
    for row in rows:
        shown = row.lstrip(" ") if position else row  # rows after the first hang, and that is not in the line
        begin = line.find(shown, position) if shown else position
        begin = position if begin < 0 else begin
        end = begin + len(shown)
        segments: list[Segment] = [(style, row[: len(row) - len(shown)])] if len(shown) < len(row) else []
        at = begin
        for start, stop in spans:
            if stop <= at or start >= end:
                continue
            if start > at:
                segments.append((style, line[at:start]))
            segments.append((linked(link, line[start:stop]), line[max(at, start) : min(stop, end)]))
            at = min(stop, end)
        if at < end:
            segments.append((style, line[at:end]))
        found.append(segments)
        position = end
    return found


def block(text: str, columns: int, style: str = "base", link: str = "info") -> list[list[Segment]]:
    """Text of several lines, each as ``wrapped`` gives it."""
    return [row for line in text.split("\n") for row in wrapped(line, columns, style, link)]


def opening(target: str) -> str:
    """What begins a link on the terminal; an empty target ends it. The id joins its pieces."""
    return f"\x1b]8;id={crc32(target.encode('ascii'))};{target}\x1b\\" if target else "\x1b]8;;\x1b\\"
