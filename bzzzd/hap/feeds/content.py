"""Contents of any type, made readable."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

import msgpack

from bzzzd.hap.feeds.fields import mapping, names, number, rows, whole
from bzzzd.hap.text import clean, clean_block
from bzzzd.hap.things import Content, History, Version

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


def _lines(value: object, depth: int = 0) -> Iterable[str]:
    """A structured value as readable lines: the text first, then ``name: value``."""
    if depth > 6:
        yield "…"
    elif isinstance(value, Mapping):
        main = next((name for name in ("text", "answer", "summary", "body", "output") if value.get(name)), None)
        if main is not None:
            yield from _lines(value[main], depth + 1)
            if len(value) > 1:
                yield ""
        for name, inner in value.items():
            if name == main or inner in (None, "", [], {}):
                continue
            inner_lines = list(_lines(inner, depth + 1))
            if len(inner_lines) == 1:
                yield f"{name}: {inner_lines[0]}"
            else:
                yield f"{name}:"
                yield from ("  " + line for line in inner_lines)
    elif isinstance(value, list | tuple):
        for inner in value:
            first, *rest = list(_lines(inner, depth + 1)) or [""]
            yield f"- {first}"
            yield from ("  " + line for line in rest)
    elif isinstance(value, bytes):
        yield from value.decode("utf-8", "replace").split("\n")
    else:
        yield from str(value).split("\n")


def readable(content: object, content_type: str = "") -> str:
    """Content of any type as a clean block of text. MessagePack maps become readable lines."""
    if isinstance(content, bytes):
        if len(content) > CONTENT_LIMIT:
            cut = content[:CONTENT_LIMIT].decode("utf-8", "replace")
            return clean_block(cut) + f"\n… cut at {CONTENT_LIMIT} bytes; `bzzz context get` saves all of it"
        if "msgpack" in content_type or content[:1] >= b"\x80":
            with contextlib.suppress(ValueError):  # else it is text that begins with such a byte
                content = msgpack.unpackb(content, strict_map_key=False)
    return clean_block("\n".join(_lines(content))[:CONTENT_LIMIT]).strip("\n")


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
