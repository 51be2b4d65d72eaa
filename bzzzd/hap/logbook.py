"""The log of this node as the portal shows it: bounded, followed, and from a level up. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

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

    ``follow`` keeps reading while the log is in view. ``fault`` says why it cannot be read.
    """

    lines: tuple[Line, ...] = ()
    number: int = 0
    level: str = "debug"
    follow: bool = True
    seen: float = 0
    fault: str = ""


def read(book: Logbook, tail: Tail, now: float) -> Logbook:
    """The book with what came since; a log that counts from its beginning again stands behind what was seen."""
    count = int(book.lines[-1].id) if book.lines else 0
    new = tuple(replace(line, id=str(count + place)) for place, line in enumerate(tail.lines, 1))
    return replace(book, lines=(*book.lines, *new)[-MOST:], number=tail.number, seen=now, fault="")


def shown(book: Logbook) -> Iterable[Line]:
    """The entries from the level up."""
    if book.level == LEVELS[0]:
        return book.lines
    wanted = LEVELS[LEVELS.index(book.level) :]
    return (line for line in book.lines if line.level in wanted or line.level == "critical")


def louder(book: Logbook) -> Logbook:
    """The book from the next level up; after the highest, everything again."""
    return replace(book, level=LEVELS[(LEVELS.index(book.level) + 1) % len(LEVELS)])
