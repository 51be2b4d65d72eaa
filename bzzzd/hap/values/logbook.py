"""The log of this node as the portal shows it: bounded, followed, and from a level up. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from bzzzd.hap.values import filters

MOST = 2000
LEVELS = ("debug", "info", "warning", "error")


class Line(Struct, frozen=True):
    """One entry: its words, its ``fields`` as they are written, and the lines that follow, such as a traceback."""

    id: str
    at: float
    level: str
    text: str
    fields: str = ""
    rest: str = ""


class Tail(Struct, frozen=True):
    """An answer of ``logs.tail``: entries, the oldest first, and the number of the newest."""

    lines: tuple[Line, ...] = ()
    number: int = 0


class Logbook(Struct, frozen=True):
    """``number`` counts what has been read of the daemon's log; ``level`` is the least that is shown.

    ``rows`` are the entries that are shown: from the level up, and passing the ``filter``. ``follow`` keeps reading
    while the log is in view. ``fault`` says why it cannot be read.
    """

    lines: tuple[Line, ...] = ()
    rows: tuple[Line, ...] = ()
    filter: str = ""
    number: int = 0
    level: str = "debug"
    follow: bool = True
    seen: float = 0
    fault: str = ""


def read(book: Logbook, tail: Tail, now: float) -> Logbook:
    """The book with what came since; a log that counts from its beginning again stands behind what was seen."""
    count = int(book.lines[-1].id) if book.lines else 0
    new = tuple(replace(line, id=str(count + place)) for place, line in enumerate(tail.lines, 1))
    lines, rows = (*book.lines, *new)[-MOST:], (*book.rows, *_shown(book, new))
    oldest = int(lines[0].id) if lines else 0
    rows = tuple(line for line in rows if int(line.id) >= oldest) if len(rows) >= MOST else rows
    return replace(book, lines=lines, rows=rows, number=tail.number, seen=now, fault="")


def arranged(book: Logbook) -> Logbook:
    """The book with its rows chosen anew."""
    return replace(book, rows=tuple(_shown(book, book.lines)))


def _shown(book: Logbook, lines: Iterable[Line]) -> Iterable[Line]:
    wanted = (*LEVELS[LEVELS.index(book.level) :], "critical")
    filtered = bool(book.filter.strip())
    for line in lines:
        if line.level in wanted and (not filtered or filters.holds("logs", line, _words(line), book.filter)):
            yield line


def _words(line: Line) -> str:
    return " ".join((line.level, line.text, line.fields, line.rest)).casefold()


def louder(book: Logbook) -> Logbook:
    """The book from the next level up; after the highest, everything again."""
    return arranged(replace(book, level=LEVELS[(LEVELS.index(book.level) + 1) % len(LEVELS)]))
