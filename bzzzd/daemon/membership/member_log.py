"""The roll on disk: every grant chain this node has heard of, so that it knows its mesh again after a restart.

    STATE/members.log    frames of four length bytes and a chain, the newest last

What is lost with a torn end is heard again from any member, so nothing is synced to disk for it. The
file is written anew at the start when more than half of it no longer counts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from bzzzd.crypto.keys import read_private, write_failed, write_private
from bzzzd.errors import UNREADABLE, BzzzError, NotFound
from bzzzd.identity.charter import Chain
from bzzzd.identity.grants import CHAIN_LIMIT, GRANT_LIMIT
from bzzzd.identity.roll import MOST

_LENGTH_BYTES: Final = 4
_FRAME_LIMIT: Final = CHAIN_LIMIT * (GRANT_LIMIT + 16)
_FILE_LIMIT: Final = 268_435_456
_CHAIN: Final = msgspec.msgpack.Decoder(Chain)


class MemberLog:
    """``note`` collects, ``flush`` writes; both belong to one loop, ``flush`` may run in a thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: list[tuple[bytes, ...]] = []
        self._frames = 0

    def load(self, admit: Callable[[tuple[bytes, ...]], object]) -> None:
        """Give every chain to ``admit``, which raises for one of another mesh. Blocking."""
        good: list[tuple[bytes, ...]] = []
        for chain in self._read():
            self._frames += 1
            try:
                admit(chain)
            except BzzzError:
                continue
            good.append(chain)
        if len(good) * 2 < self._frames:
            self._write(good)

    def note(self, chain: tuple[bytes, ...]) -> None:
        self._noted.append(chain)

    def flush(self, current: Callable[[], list[tuple[bytes, ...]]]) -> None:
        """Write what was noted; ``current`` gives all that counts, for when the file has grown too long. Blocking."""
        noted, self._noted = self._noted, []
        if self._frames + len(noted) > 2 * MOST:
            self._write(current())
            return
        self._frames += len(noted)
        try:
            # The mode counts where the file is made; it holds no secret, but others have no business with it.
            with open(self._path, "ab", opener=_private) as file:
                file.write(b"".join(map(_frame, noted)))
        except OSError as error:
            raise write_failed(self._path, error) from error

    def _write(self, chains: list[tuple[bytes, ...]]) -> None:
        write_private(self._path, b"".join(map(_frame, chains)), replace=True)
        self._frames = len(chains)

    def _read(self) -> Iterator[tuple[bytes, ...]]:
        try:
            data = read_private(self._path, _FILE_LIMIT)
        except NotFound:
            return
        start = 0
        while start + _LENGTH_BYTES <= len(data):
            size = int.from_bytes(data[start : start + _LENGTH_BYTES], "big")
            start += _LENGTH_BYTES
            if size > _FRAME_LIMIT or start + size > len(data):
                return
            try:
                yield _CHAIN.decode(data[start : start + size])
            except UNREADABLE:
                return
            start += size


def _frame(chain: tuple[bytes, ...]) -> bytes:
    body = msgspec.msgpack.encode(chain)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
