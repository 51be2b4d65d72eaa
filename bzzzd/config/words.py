"""Types of the schema in words: what a key accepts, for fault messages and for the reference."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import Meta, Struct


def split(kind: Any) -> tuple[Any, tuple[Meta, ...]]:
    """A type without its annotations, and those, outermost first; ``X | None`` counts as ``X``."""
    metas: list[Meta] = []
    while True:
        if get_origin(kind) is Annotated:
            kind, *extra = get_args(kind)
            metas[:0] = [meta for meta in reversed(extra) if isinstance(meta, Meta)]
        elif optional(kind):
            kind = next(part for part in get_args(kind) if part is not type(None))
        else:
            return kind, tuple(metas)


def optional(kind: Any) -> bool:
    """Whether ``None`` (an empty value) is allowed."""
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)


def choices(kind: Any) -> tuple[str, ...]:
    """The values of a ``Literal``; empty for other types."""
    base, _ = split(kind)
    return tuple(str(value) for value in get_args(base)) if get_origin(base) is Literal else ()


def expected(kind: Any) -> str:
    """What a value of this type looks like, as it follows "expected"."""
    base, metas = split(kind)
    if options := choices(kind):
        return options[0] if len(options) == 1 else f"one of {', '.join(options)}"
    if base is bool:
        return "true or false"
    if base in (int, float):
        return _number("a whole number" if base is int else "a number", metas)
    if base is str:
        return next((meta.title for meta in metas if meta.title), "text")
    if get_origin(base) is tuple:
        return f"a list of {_items(get_args(base)[0])}"
    if get_origin(base) is dict or (isinstance(base, type) and issubclass(base, Struct)):
        return "a section with keys"
    return str(getattr(base, "__name__", base))


def _number(noun: str, metas: tuple[Meta, ...]) -> str:
    low = next((meta.ge for meta in metas if meta.ge is not None), None)
    above = next((meta.gt for meta in metas if meta.gt is not None), None)
    high = next((meta.le for meta in metas if meta.le is not None), None)
    if low is not None and high is not None:
        return f"{noun} from {low} to {high}"
    if above is not None and high is not None:
        return f"{noun} over {above}, up to {high}"
    return f"{noun} from {low}" if low is not None else noun


def _items(kind: Any) -> str:
    base, metas = split(kind)
    if isinstance(base, type) and issubclass(base, Struct):
        return "sections"
    return next((f"texts, each {meta.title}" for meta in metas if meta.title), "texts")


def got(value: Any) -> str:
    """A value from a file, as it follows "got"; long ones are cut."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    text = str(value) if not isinstance(value, str) else f'the text "{value}"'
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= 60 else f"{text[:59]}…"
