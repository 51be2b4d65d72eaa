"""Content of any type as text for people: MessagePack maps become readable lines.

The text is as it was received: whoever shows it takes out what their screen must not get.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgpack

MAX_DEPTH: Final = 6
_TEXT: Final = ("text", "answer", "summary", "body", "output")
# A map's key may be a list or a map on the wire, which Python cannot hash: that is a ``TypeError``.
_NOT_MSGPACK: Final = (ValueError, TypeError, msgpack.UnpackException)


def text_of(content: object, content_type: str = "") -> str:
    """The text of a value, or of bytes of this type, whatever they are."""
    return "\n".join(_lines(_decoded(content, content_type) if isinstance(content, bytes) else content, 0))


def _decoded(content: bytes, content_type: str) -> object:
    """What MessagePack says; for anything else the text itself, which may begin with such a byte."""
    if "msgpack" in content_type or (content[:1] >= b"\x80" and not content_type.startswith("text/")):
        try:
            found: object = msgpack.unpackb(content, strict_map_key=False)
        except _NOT_MSGPACK:
            return content
        return found
    return content


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
