"""Contents of any type, made readable."""

from __future__ import annotations

from bzzzd.hap.feeds.fields import mapping, names, number, rows, whole
from bzzzd.hap.text import clean, clean_block
from bzzzd.hap.values.things import Content, History, Version
from bzzzd.ucxl.readable import text_of

CONTENT_LIMIT = 1_000_000


def history(value: object) -> History:
    versions = tuple(
        Version(
            number=whole(row.get("number")),
            id=clean(row.get("version_id"), 80),
            author=clean(row.get("author"), 64),
            at=number(row.get("at")),
            size=whole(row.get("size")),
        )
        for row in rows(value, "versions")
    )
    return History(versions=versions, conflict=mapping(value).get("conflict") is True)


def readable(content: object, content_type: str = "") -> str:
    """Content of any type as a clean block of text."""
    if isinstance(content, bytes) and len(content) > CONTENT_LIMIT:
        cut = content[:CONTENT_LIMIT].decode("utf-8", "replace")
        return clean_block(cut) + f"\n… cut at {CONTENT_LIMIT} bytes; `bzzz context get` saves all of it"
    return clean_block(text_of(content, content_type)[:CONTENT_LIMIT]).strip("\n")


def content(value: object) -> Content:
    """The answer of ``context.get``, or the ``brief`` and ``decision`` of ``task.show``."""
    row = mapping(value)
    kind = clean(row.get("content_type"), 80)
    body = row.get("content")
    if body is None:  # a brief comes as its map; its title stands above it
        body = {name: inner for name, inner in row.items() if name != "title"}
    return Content(
        text=readable(body, kind),
        number=whole(row.get("number")),
        of=whole(row.get("of")),
        version_id=clean(row.get("version_id"), 80),
        author=clean(row.get("author"), 64),
        at=number(row.get("at")),
        content_type=kind,
        readers=names(row.get("readers")),
        conflict=row.get("conflict") is True,
    )
