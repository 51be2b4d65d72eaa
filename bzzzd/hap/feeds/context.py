"""What the daemon tells of addresses and their versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from bzzzd.errors import InvalidAddress
from bzzzd.hap.feeds.content import CONTENT_LIMIT, readable
from bzzzd.hap.feeds.fields import mapping, names, number, rows, whole
from bzzzd.hap.text import clean
from bzzzd.hap.values.books import Edition, Editions, Reading
from bzzzd.hap.values.shelf import Entry, Listing, words_of
from bzzzd.ucxl.address import Temporal, parse


def listing(value: object) -> Listing:
    """The answer of ``context.list``; an entry whose address is none is left out."""
    found = (_entry(row) for row in rows(value, "entries"))
    answer = mapping(value)
    return Listing(
        entries=tuple(entry for entry in found if entry is not None),
        next=clean(answer.get("next"), 4096),
        complete=answer.get("complete") is not False,
    )


def _entry(row: Mapping[str, Any]) -> Entry | None:
    try:
        address = parse(clean(row.get("address"), 4096))
    except InvalidAddress:
        return None
    entry = Entry(
        address=address.base,
        agent=address.agent,
        role=address.role,
        project=address.project,
        task=address.task,
        path=address.path,
        versions=whole(row.get("versions")),
        author=clean(row.get("author"), 128),
        at=number(row.get("at")),
        size=whole(row.get("size")),
        content_type=clean(row.get("content_type"), 127),
        readers=names(row.get("readers")),
        conflict=row.get("conflict") is True,
    )
    return replace(entry, words=words_of(entry))


def editions(value: object) -> Editions:
    """The answer of ``context.history``."""
    answer = mapping(value)
    return Editions(
        editions=tuple(_edition(row) for row in rows(value, "versions")),
        of=whole(answer.get("of")),
        next=whole(answer.get("next")),
        complete=answer.get("complete") is not False,
        replicas=whole(answer.get("replicas")),
    )


def _edition(row: Mapping[str, Any]) -> Edition:
    return Edition(
        number=whole(row.get("number")),
        id=clean(row.get("version_id"), 64),
        author=clean(row.get("author"), 128),
        at=number(row.get("at")),
        size=whole(row.get("size")),
        content_type=clean(row.get("content_type"), 127),
        readers=names(row.get("readers")),
        epoch=whole(row.get("epoch")),
        parents=names(row.get("parents")),
        head=row.get("head") is True,
        holders=names(row["holders"]) if "holders" in row else None,
    )


def place(value: object) -> str:
    """The answer of ``context.find``: the address of one version; empty for one that cannot be used."""
    answer = mapping(value)
    try:
        address = parse(clean(answer.get("address"), 4096))
    except InvalidAddress:
        return ""
    return address.at(Temporal("specific", None, max(0, whole(answer.get("number"))))).canonical


def reading(value: object) -> Reading:
    """The answer of ``context.get`` as text to look at."""
    answer = mapping(value)
    content = answer.get("content")
    kind = clean(answer.get("content_type"), 127)
    binary = isinstance(content, bytes) and b"\0" in content[:CONTENT_LIMIT] and "msgpack" not in kind
    text = f"(binary content of {len(content)} bytes, {kind})" if binary and content else readable(content, kind)
    return Reading(id=clean(answer.get("version_id"), 64), number=whole(answer.get("number")), text=text)
