"""Large content as it arrives: chunks checked one by one, kept in a file that survives a cut, named when whole.

Blocking; to be called in threads. ``NAME.part`` holds what has come; a start that finds one goes on with it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bzzzd.errors import InvalidEnvelope
from bzzzd.storage.faults import from_os
from bzzzd.storage.folder import prepare_folder, sync_folder
from bzzzd.storage.versions.naming import chunk_span, name_of_list

PART: Final = ".part"


class Incoming:
    """Content of ``size`` bytes, whose chunks have ``hashes``, on its way to ``path``."""

    def __init__(self, path: Path, name: bytes, size: int, hashes: Sequence[bytes]) -> None:
        """Raises ``InvalidEnvelope`` when such chunks do not make up the content of this name."""
        if name_of_list(size, hashes) != name:
            raise InvalidEnvelope(f"this list of chunks is not that of content {name.hex()[:16]}…")
        self._path = path
        self._part = path.with_name(path.name + PART)
        self._size = size
        self._hashes = hashes
        self._handle = -1

    def open(self) -> list[int]:
        """Begin, or go on after a cut; gives the chunks that are missing."""
        try:
            if not self._path.parent.is_dir():
                prepare_folder(self._path.parent)
                sync_folder(self._path.parent.parent)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._handle = os.open(self._part, flags, 0o600)
            return [index for index in range(len(self._hashes)) if not self._has(index)]
        except OSError as error:
            raise from_os(error, self._part, "receive content in") from error

    def _has(self, index: int) -> bool:
        start, length = chunk_span(self._size, index)
        data = os.pread(self._handle, length, start)
        return len(data) == length and hashlib.sha256(data).digest() == self._hashes[index]

    def write(self, index: int, data: bytes) -> None:
        """Take a chunk; ``InvalidEnvelope`` for a wrong one, ``DiskFull`` or ``StorageFailed``."""
        start, length = chunk_span(self._size, index)
        if len(data) != length or hashlib.sha256(data).digest() != self._hashes[index]:
            raise InvalidEnvelope(f"chunk {index} is not that of content {self._path.name[:16]}…")
        view, at = memoryview(data), start
        try:
            while view:
                done = os.pwrite(self._handle, view, at)
                view, at = view[done:], at + done
        except OSError as error:
            raise from_os(error, self._part, "receive content in") from error

    def finish(self) -> None:
        """Make what has come whole and durable under its name."""
        try:
            os.ftruncate(self._handle, self._size)
            os.fsync(self._handle)
            self._part.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            raise from_os(error, self._path, "write") from error

    def discard(self) -> None:
        """Give up what has come."""
        self.close()
        self._part.unlink(missing_ok=True)

    def close(self) -> None:
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
