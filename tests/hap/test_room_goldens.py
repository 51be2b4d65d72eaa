"""The rooms of context, threads, events and the log at five sizes, as somebody last found them good.

``pytest tests/hap --renew-goldens`` writes them anew; look at the difference before committing it.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bzzzd.hap.text import width
from bzzzd.hap.values.model import Model
from bzzzd.hap.view import view

from .builders import after, keys
from .rooms import book, conversation, eventful, logged, shelved, talking, unfolded
from .test_goldens import GOLDENS, SIZES, _drawn

VIEWS: dict[str, Callable[[int, int], Model]] = {
    "threads": talking,
    "thread": conversation,
    "thread-first": lambda w, h: after(conversation(w, h), *keys("[ [ [ [ [ [ O")),
    "context": unfolded,
    "context-by-project": lambda w, h: after(shelved(w, h), *keys("o")),
    "context-filtered": lambda w, h: after(shelved(w, h), *keys("/ n o t e s")),
    "book-text": book,
    "book-versions": lambda w, h: after(book(w, h), *keys("v [")),
    "book-facts": lambda w, h: after(book(w, h), *keys("p")),
    "book-compare": lambda w, h: after(book(w, h), *keys("=")),
    "events": eventful,
    "logs": logged,
    "logs-warnings": lambda w, h: after(logged(w, h), *keys("v v")),
    "log-page": lambda w, h: after(logged(w, h), *keys("k enter")),
}
MORE = ((1, 1), (7, 3), (200, 60), (300, 80))


@pytest.mark.parametrize("name", VIEWS)
def test_a_room_looks_as_it_did(name: str, request: pytest.FixtureRequest) -> None:
    drawn = "\n\n".join(f"{w} x {h}\n{_drawn(view(VIEWS[name](w, h), w, h))}" for w, h in SIZES) + "\n"
    path = GOLDENS / f"{name}.txt"
    if request.config.getoption("--renew-goldens", default=False):
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize(("columns", "height"), MORE)
def test_a_room_fills_any_window_exactly_and_lets_nothing_out(name: str, columns: int, height: int) -> None:
    frame = view(VIEWS[name](columns, height), columns, height)
    rows = ["".join(text for _, text in row) for row in frame.rows]
    assert [width(row) for row in rows] == [columns] * height
    assert not any(mark in row for row in rows for mark in ("\x1b", "\x07", "‮"))
