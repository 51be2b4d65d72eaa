"""What has happened, as a bounded row of events. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

MOST = 500


class Event(Struct, frozen=True):
    """``id`` counts the events of this portal; ``source`` says which part of the mesh it is about, ``kind`` what.

    ``target`` is a task that can be opened from here, if it is about one; ``level`` is that of a notice.
    """

    id: str
    at: float
    source: str
    kind: str
    text: str
    level: str = "info"
    target: str = ""


def told(events: tuple[Event, ...], new: Iterable[Event]) -> tuple[Event, ...]:
    """The events with ``new`` ones (the oldest first) in front of them: the newest is the first. Ids are given here.

    One that is known already, by when and what it was, is not told twice: a stream that begins anew repeats some.
    """
    known = {(event.at, event.source, event.kind, event.text) for event in events}
    number = int(events[0].id) if events else 0
    found: list[Event] = []
    for event in new:
        what = (event.at, event.source, event.kind, event.text)
        if what in known:
            continue
        known.add(what)
        number += 1
        found.append(Event(str(number), event.at, event.source, event.kind, event.text, event.level, event.target))
    found.reverse()
    return (*found, *events)[:MOST] if found else events
