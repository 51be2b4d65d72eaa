"""Fields of a map that came from outside: whatever stands there, they give a value of the wanted type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bzzzd.hap.text import clean

_MAX_ROWS = 5000


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def number(value: object, default: float = 0.0) -> float:
    good = isinstance(value, int | float) and value == value and abs(value) < 1e15
    return float(value) if good and isinstance(value, int | float) else default


def whole(value: object, default: int = 0) -> int:
    return int(number(value, default))


def names(value: object) -> tuple[str, ...]:
    return tuple(clean(one, 200) for one in value[:200]) if isinstance(value, list | tuple) else ()


def rows(value: object, key: str) -> Iterable[Mapping[str, Any]]:
    found = mapping(value).get(key) if isinstance(value, Mapping) else value
    if isinstance(found, Mapping):
        found = list(found.values())
    return [row for row in found[:_MAX_ROWS] if isinstance(row, Mapping)] if isinstance(found, list | tuple) else []
