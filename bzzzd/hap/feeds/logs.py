"""What the daemon tells of its log."""

from __future__ import annotations

import re
from datetime import datetime

from bzzzd.hap.feeds.fields import mapping, whole
from bzzzd.hap.text import clean, clean_block
from bzzzd.hap.values.logbook import MOST, Line, Tail

_HEAD = re.compile(r"(\S+) (debug|info|warning|error|critical) +(.*)", re.DOTALL)
_LINE = 4000


def tail(value: object) -> Tail:
    """The answer of ``logs.tail``."""
    lines = mapping(value).get("lines")
    found = [line for line in lines if isinstance(line, str)][-MOST:] if isinstance(lines, list | tuple) else []
    return Tail(tuple(_line(line) for line in found), whole(mapping(value).get("number")))


def _line(text: str) -> Line:
    """One entry as ``runtime/log_render.py`` writes it; one that is written otherwise is shown as it is."""
    first, _, rest = text.partition("\n")
    head = _HEAD.match(first[: _LINE * 4])
    if head is None:
        return Line("", 0, "info", clean(first, _LINE), rest=clean_block(rest, 20_000))
    words, _, fields = head[3].partition("  ")
    return Line("", _at(head[1]), head[2], clean(words, _LINE), clean(fields, _LINE), clean_block(rest, 20_000))


def _at(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
