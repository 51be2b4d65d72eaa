"""The method registry as a page for readers (``docs/rpc.md``), so that the page cannot differ from the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import msgspec
from msgspec import NODEFAULT

from bzzzd.rpc.registry import Method, Registry
from bzzzd.rpc.streams import StreamKind


def reference(registry: Registry, streams: Iterable[StreamKind] = ()) -> str:
    """Markdown: a section for each group of methods, each method with its rule, parameters and result; the streams."""
    lines = []
    for group, methods in groupby(sorted(registry, key=_order), key=lambda method: method.group):
        lines += [f"## {group}", ""]
        for method in methods:
            lines += _method(method)
    listed = sorted(streams, key=lambda kind: kind.name)
    if listed:
        lines += ["## Streams", "", "| stream | who may read | items |", "|---|---|---|"]
        lines += [f"| `{kind.title}` | {kind.access.words} | {kind.doc} |" for kind in listed]
        lines.append("")
    return "\n".join(lines)


def _order(method: Method) -> tuple[bool, str, str]:
    return (method.group != "core", method.group, method.name)


def _method(method: Method) -> Iterator[str]:
    notes = [f"Access: {method.access.words}."]
    if method.reads:
        notes.append("Changes nothing.")
    yield f"### `{method.name}`"
    yield ""
    if method.doc:
        yield f"{method.doc}"
        yield ""
    yield " ".join(notes)
    yield ""
    fields = msgspec.structs.fields(method.params)
    if fields:
        yield "| parameter | type | default |"
        yield "|---|---|---|"
        for field in fields:
            yield f"| `{field.encode_name}` | {_type(field.type)} | {_default(field)} |"
        yield ""
    yield f"Result: `{method.result}`"
    yield ""


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.default is not NODEFAULT:
        return f"`{_literal(field.default)}`"
    if field.default_factory is not NODEFAULT:
        return f"`{_literal(field.default_factory())}`"
    return "required"


def _literal(value: Any) -> str:
    if isinstance(value, bytes):
        return "empty" if not value else value.hex()
    return msgspec.json.encode(value).decode()


def _type(kind: Any) -> str:
    """``str``, ``list[bytes]``, ``str or nil``: the words of the wire, not of Python."""
    return _words(msgspec.inspect.type_info(kind))


def _words(info: msgspec.inspect.Type) -> str:
    found = msgspec.inspect
    match info:
        case found.Metadata():
            return _words(info.type)
        case found.UnionType():
            return " or ".join(_words(part) for part in info.types)
        case found.NoneType():
            return "nil"
        case found.ListType() | found.VarTupleType() | found.SetType() | found.FrozenSetType():
            return f"array of {_words(info.item_type)}"
        case found.TupleType():
            return f"[{', '.join(_words(part) for part in info.item_types)}]"
        case found.DictType() | found.StructType():
            return "map"
        case found.LiteralType():
            return " or ".join(f"`{value}`" for value in info.values)
        case found.AnyType() | found.RawType():
            return "any"
        case _:
            return type(info).__name__.removesuffix("Type").lower()
