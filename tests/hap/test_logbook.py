"""The log as it is followed: bounded, in order, from a level up."""

from __future__ import annotations

from bzzzd.hap.values import logbook
from bzzzd.hap.values.logbook import Line, Logbook, Tail

LINES = tuple(Line("", float(number), level, "words") for number, level in enumerate(("debug", "info", "error")))


def test_what_came_since_stands_behind_what_was_read() -> None:
    book = logbook.read(Logbook(), Tail(LINES, 3), 10.0)
    book = logbook.read(book, Tail(LINES[:1], 4), 11.0)
    assert [line.id for line in book.lines] == ["1", "2", "3", "4"]
    assert (book.number, book.seen) == (4, 11.0)


def test_no_more_than_the_newest_are_kept() -> None:
    book = Logbook()
    for _ in range(5):
        book = logbook.read(book, Tail(LINES * 300, 0), 1.0)
    assert len(book.lines) == logbook.MOST
    assert book.lines[-1].id == "4500"


def test_a_level_hides_what_is_below_it() -> None:
    book = logbook.read(Logbook(), Tail((*LINES, Line("", 9, "critical", "gone")), 4), 1.0)
    seen = []
    for _ in logbook.LEVELS:
        seen.append([line.level for line in book.rows])
        book = logbook.louder(book)
    assert seen == [
        ["debug", "info", "error", "critical"],
        ["info", "error", "critical"],
        ["error", "critical"],
        ["error", "critical"],
    ]
    assert book.level == "debug"
