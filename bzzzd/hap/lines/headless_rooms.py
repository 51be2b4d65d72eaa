"""What ``--headless`` tells of threads, context and the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bzzzd.hap.values.model import Model

Line = dict[str, Any]


def lines(old: Model, new: Model) -> list[Line]:
    """What changed in the rooms."""
    found: list[Line] = []
    if old.talk.threads is not new.talk.threads:
        found += _changed("thread", old.talk.threads, new.talk.threads)
    if old.talk.spoken is not new.talk.spoken:
        found += _messages(old, new)
    if old.shelf.entries is not new.shelf.entries:
        found += _changed("entry", old.shelf.entries, new.shelf.entries)
    if old.shelf.books is not new.shelf.books:
        found += _changed("book", old.shelf.books, new.shelf.books)
    if old.logbook.lines is not new.logbook.lines:
        known = {line.id for line in old.logbook.lines}
        found += _told("log", (line for line in new.logbook.lines if line.id not in known))
    return found


def first(model: Model) -> list[Line]:
    """What an earlier portal had seen of the rooms."""
    return [*_told("thread", model.talk.threads.values()), *_told("entry", model.shelf.entries.values())]


def _told(kind: str, values: Iterable[object]) -> list[Line]:
    return [{"type": kind, kind: msgspec.to_builtins(value)} for value in values]


def _changed(kind: str, old: Mapping[str, object], new: Mapping[str, object]) -> list[Line]:
    return _told(kind, (value for id, value in new.items() if value is not old.get(id) and value != old.get(id)))


def _messages(old: Model, new: Model) -> list[Line]:
    found: list[Line] = []
    for thread, said in new.talk.spoken.items():
        was = old.talk.spoken.get(thread, ())
        if said is was:
            continue
        known = {one.id: one for one in was}
        found += [
            {"type": "message", "thread": thread, "message": msgspec.to_builtins(one)}
            for one in said
            if one != known.get(one.id)
        ]
    return found
