"""What the daemon tells of threads and their messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bzzzd.hap.feeds.fields import mapping, names, number, rows, whole
from bzzzd.hap.text import clean, clean_block
from bzzzd.hap.values.talk import Said, Spoken, Thread, Threads

_TEXT = 200_000


class Spoke(Struct, frozen=True):
    """An item of the stream ``hmmm``: a thread as it is now, and what was said on it."""

    thread: Thread
    said: Said


def threads(value: object) -> Threads:
    """The answer of ``hmmm.list``."""
    found = (thread(row) for row in rows(value, "threads"))
    return Threads(tuple(row for row in found if row.id), clean(mapping(value).get("next"), 200))


def spoken(value: object) -> Spoken:
    """The answer of ``hmmm.show``."""
    answer = mapping(value)
    found = (said(row) for row in rows(value, "messages"))
    return Spoken(
        thread(mapping(answer.get("thread"))), tuple(one for one in found if one.id), clean(answer.get("next"), 200)
    )


def posted(value: object) -> str:
    """The answer of ``hmmm.post``: the message's id."""
    return said(mapping(mapping(value).get("message"))).id


def item(row: Mapping[str, Any]) -> Spoke | None:
    """An item of the stream ``hmmm``."""
    found = Spoke(thread(mapping(row.get("thread"))), said(mapping(row.get("message"))))
    return found if found.thread.id else None


def thread(row: Mapping[str, Any]) -> Thread:
    last = row.get("last_by")
    return Thread(
        id=clean(row.get("id"), 64),
        task=clean(row.get("task"), 64),
        subject=clean(row.get("subject"), 300),
        participants=_people(row.get("participants")),
        count=whole(row.get("count")),
        last_at=number(row.get("last_at")),
        last_kind=clean(row.get("last_kind"), 24),
        last_by=_person(last),
        state=clean(row.get("state"), 24) or "open",
        window_ends=number(row.get("window_ends")),
        for_me=row.get("for_me") is True,
    )


def _person(value: object) -> str:
    return clean(mapping(value).get("id") if isinstance(value, Mapping) else value, 64)


def _people(value: object) -> tuple[str, ...]:
    return tuple(_person(one) for one in value[:200]) if isinstance(value, list | tuple) else ()


def said(row: Mapping[str, Any]) -> Said:
    by = row.get("by")
    text = row.get("text")
    return Said(
        id=clean(row.get("id"), 64),
        kind=clean(row.get("kind"), 24),
        by=_person(by),
        by_kind=clean(mapping(by).get("kind"), 16),
        by_role=clean(mapping(by).get("role"), 64),
        at=number(row.get("at")),
        reply_to=clean(row.get("reply_to"), 64),
        text=clean_block(text, _TEXT).strip("\n") if isinstance(text, str) else "",
        refs=tuple(clean(one, 1024) for one in row["refs"][:32]) if isinstance(row.get("refs"), list | tuple) else (),
        to=names(row.get("to")),
        reason=clean(row.get("reason"), 500),
        window_ends=number(row.get("window_ends")),
        standing=clean(row.get("standing"), 24),
        aside=clean(row.get("aside"), 24),
        readable=row.get("readable") is not False,
    )
