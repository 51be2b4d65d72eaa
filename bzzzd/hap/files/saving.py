"""Writing a version's content to a file of the person: piece by piece as bzzzd sends it, whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from bzzzd.errors import BadInput, Conflict, StorageFailed
from bzzzd.runtime.newfile import NewFile

PIECE_S = 120.0

Call = Callable[[str, Mapping[str, Any], float], Awaitable[Any]]
"""``call(method, params, seconds)`` asks bzzzd something that changes nothing."""


def target(path: str, name: str) -> Path:
    """Where ``path`` leads: ``~`` is the person's home, and in a folder the file gets the ``name`` that was offered."""
    try:
        found = Path(path).expanduser()
        return found / name if found.is_dir() else found
    except (RuntimeError, ValueError, OSError) as error:
        raise BadInput(f"{path[:200]} names no file: {error}") from error


async def save(call: Call, address: str, path: Path, *, over: bool) -> int:
    """Write the content of ``address`` (a version) to ``path``, and give its size in bytes.

    Raises ``Conflict`` when the file exists and ``over`` is not set, before anything is read.
    """
    file = await asyncio.to_thread(_begin, path, over)
    try:
        while True:  # bzzzd fetches it from another node meanwhile, and answers every second how far that is
            told = _map(await call("context.receive_begin", {"address": address}, PIECE_S))
            if told.get("download"):
                break
        while True:
            piece = _map(await call("context.receive", {"download": told["download"], "offset": file.size}, PIECE_S))
            data = piece.get("data")
            if not isinstance(data, bytes):
                raise StorageFailed("bzzzd sent content with a gap; save it again")
            if piece.get("last"):
                break
            await asyncio.to_thread(file.write, data)
        return await asyncio.to_thread(file.keep, over=over)
    finally:
        file.drop()


def _begin(path: Path, over: bool) -> NewFile:
    if not over and path.exists():
        raise Conflict(f"{path} exists already; name a new file", path=str(path))
    return NewFile(path)


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
