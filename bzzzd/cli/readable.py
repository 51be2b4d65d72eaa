"""Content of any type as clean text: MessagePack maps become readable lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgpack

from bzzzd.cli.output import clean

MAX_DEPTH = 6
_TEXT = ("text", "answer", "summary", "body", "output")


def readable(content: object, content_type: str = "") -> str:
    """Text that can be printed on a terminal, whatever was received."""
    if isinstance(content, bytes):
        content = _decoded(content, content_type)
    return clean("\n".join(_lines(content, 0)), lines=True).strip("\n")


def _decoded(content: bytes, content_type: str) -> object:
    if content_type.startswith("text/"):
        return content.decode("utf-8", "replace")
    if content[:1] >= b"\x80" or "msgpack" in content_type:
        try:
            found: object = msgpack.unpackb(content, strict_map_key=False)
        except (ValueError, msgpack.UnpackException):
            return content.decode("utf-8", "replace")
        return found
    return content.decode("utf-8", "replace")


def _lines(value: object, depth: int) -> Iterator[str]:
    """The main text first, then ``name: value``."""
    if depth > MAX_DEPTH:
        yield "…"
    elif isinstance(value, Mapping):
        main = next((name for name in _TEXT if value.get(name)), None)
        if main is not None:
            yield from _lines(value[main], depth + 1)
        rest = {name: inner for name, inner in value.items() if name != main and inner not in (None, "", [], {})}
        if main is not None and rest:
            yield ""
        for name, inner in rest.items():
            first, *more = list(_lines(inner, depth + 1)) or [""]
            yield f"{name}:" if more else f"{name}: {first}"
            yield from (f"  {line}" for line in ([first, *more] if more else ()))
    elif isinstance(value, list | tuple):
        for inner in value:
            first, *more = list(_lines(inner, depth + 1)) or [""]
            yield f"- {first}"
            yield from (f"  {line}" for line in more)
    elif isinstance(value, bytes):
        yield from value.decode("utf-8", "replace").split("\n")
    else:
        yield from str(value).split("\n")
