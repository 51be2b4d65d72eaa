"""Faults of configuration as values: where, what, and what to do now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from bzzzd.errors import ConfigInvalid

Path = tuple[str | int, ...]


class Problem(Struct, frozen=True):
    """A broken rule, by the keys that lead to it; the loader knows the file and line."""

    at: Path
    message: str
    fix: str


class Fault(Struct, frozen=True):
    """One fault of one file. ``line`` and ``column`` count from 1; both are 0 when the file itself is the fault."""

    file: str
    line: int
    column: int
    key: str
    message: str
    fix: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        what = f"{self.key}: {self.message}" if self.key else self.message
        return f"{where}: {what}; {self.fix}"

    def to_map(self) -> dict[str, Any]:
        """Plain values for JSON and MessagePack."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


def key_text(path: Path) -> str:
    """``("agent", "handlers", 0, "kind")`` as ``agent.handlers[0].kind``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def in_order(faults: Iterable[Fault]) -> list[Fault]:
    """Faults without repetitions, file by file in the order first met, then by position."""
    unique = list(dict.fromkeys(faults))
    files = {name: index for index, name in enumerate(dict.fromkeys(fault.file for fault in unique))}
    return sorted(unique, key=lambda fault: (files[fault.file], fault.line, fault.column))


def refuse(faults: Sequence[Fault], process: str) -> ConfigInvalid:
    """The error that lists every fault in its message and, as maps, in ``data["faults"]``."""
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = "".join(f"\n  {fault}" for fault in faults)
    return ConfigInvalid(
        f"the configuration has {count}:{lines}",
        service="configuration",
        process=process,
        faults=[fault.to_map() for fault in faults],
    )
