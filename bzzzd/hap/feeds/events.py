"""Items of the streams ``events``, with a sentence for people, and ``agents``, which only tells that some changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bzzzd.hap.feeds.fields import number
from bzzzd.hap.news import News, news
from bzzzd.hap.text import clean
from bzzzd.hap.values.chronicle import Event


class Happened(Struct, frozen=True):
    """Something about the mesh or a service changed; ``what`` is its kind, ``news`` its sentence if it has one.

    ``event`` is what the list of events shows of it.
    """

    what: str
    news: News | None = None
    event: Event | None = None


def event(row: Mapping[str, Any]) -> Happened:
    """An item of the stream ``events``."""
    kind, told = clean(row.get("kind") or row.get("what"), 60) or "events", news(row)
    return Happened(kind, told, _event(row, kind, told))


def _event(row: Mapping[str, Any], kind: str, told: News | None) -> Event:
    """One row of the list: its sentence, or for one that has none what is known of it."""
    source = clean(row.get("source"), 24) or "node"
    target = clean(row.get("task"), 64)
    if told is not None:
        return Event("", number(row.get("at")), source, kind, told.text, told.level, target)
    if kind == "decision":
        text = f"{clean(row.get('agent'), 64) or 'somebody'} has decided {target}"
    else:
        who = clean(row.get("id") or row.get("node"), 64)
        words = kind.replace("_", " ")
        detail = clean(row.get("detail") or row.get("version_id"), 300)
        head = "" if detail.startswith(words) else words
        head = f"{who} {head}".strip() if who and who not in detail else head
        text = ": ".join(part for part in (head, detail) if part)
    return Event("", number(row.get("at")), source, kind, text, _LEVELS.get(kind, "info"), target)


# How events without a sentence of their own matter.
_LEVELS: Mapping[str, str] = {
    "damaged": "bad", "not_mended": "bad", "mended": "ok", "invalid": "warn", "trimmed": "warn", "revoked": "warn",
    "agent_twice": "warn",
}  # fmt: skip


def agent(row: Mapping[str, Any]) -> Happened:
    """An item of the stream ``agents``."""
    return Happened(clean(row.get("kind") or row.get("what"), 60) or "agents")
