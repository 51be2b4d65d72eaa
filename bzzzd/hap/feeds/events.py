"""Items of the streams that only tell that something changed: ``events`` with a sentence, ``agents`` without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from bzzzd.hap.news import News, news
from bzzzd.hap.text import clean


class Happened(Struct, frozen=True):
    """Something about the mesh or a service changed; ``what`` is its kind, ``news`` its sentence if it has one."""

    what: str
    news: News | None = None


def event(row: Mapping[str, Any]) -> Happened:
    """An item of the stream ``events``."""
    return Happened(clean(row.get("kind") or row.get("what"), 60) or "events", news(row))


def agent(row: Mapping[str, Any]) -> Happened:
    """An item of the stream ``agents``."""
    return Happened(clean(row.get("kind") or row.get("what"), 60) or "agents")
