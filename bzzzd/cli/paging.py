"""Lists that come in pages, asked for until there are as many rows as were wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bzzzd.cli.output import mapping, rows_of
from bzzzd.cli.person import Person

PAGE: Final = 200


class Listed(NamedTuple):
    """``next`` goes on behind the rows, or is ``None``; ``complete`` unless some node was not reached."""

    rows: list[Mapping[str, Any]]
    next: object
    complete: bool


def listed(person: Person, method: str, key: str, limit: int, **asked: object) -> Listed:
    """Up to ``limit`` rows, which stand under ``key``; what is ``None`` among ``asked`` is not asked for."""
    given = {name: value for name, value in asked.items() if value is not None}
    rows: list[Mapping[str, Any]] = []
    after: object = None
    complete = True
    while len(rows) < limit:
        behind = {"after": after} if after else {}
        page = mapping(person.read(method, {**given, **behind, "limit": min(PAGE, limit - len(rows))}))
        rows += rows_of(page, key)
        complete &= page.get("complete") is not False
        after = page.get("next")
        if not after:
            break
    return Listed(rows, after or None, complete)
