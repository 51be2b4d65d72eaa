"""A file that a person asked for: written whole or not at all, and never over another unless they said so."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from bzzzd.crypto.keys import write_failed
from bzzzd.errors import BadInput, Conflict


class NewFile:
    """Grows under another name beside ``path`` until it is ``kept``; ``drop`` leaves no trace of it.

    Only its owner can read it: what was decrypted must not spread by itself. Its methods block on the disk; each
    raises ``DiskFull`` or ``StorageFailed``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
        self.size = 0
        try:
            handle = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise write_failed(path, error) from error
        self._file = os.fdopen(handle, "wb")

    def write(self, piece: bytes) -> None:
        try:
            self.size += self._file.write(piece)
        except OSError as error:
            raise write_failed(self._path, error) from error

    def keep(self, *, over: bool = False) -> int:
        """Give it its name, and tell its size; ``Conflict`` when the name is taken and ``over`` is not set."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            if over:
                _check_plain(self._path)
                self._unfinished.replace(self._path)
            else:
                os.link(self._unfinished, self._path)
                self._unfinished.unlink()
        except FileExistsError as error:
            raise Conflict(f"{self._path} exists already; name a new file", path=str(self._path)) from error
        except OSError as error:
            raise write_failed(self._path, error) from error
        return self.size

    def drop(self) -> None:
        """Forget it, if it was not kept."""
        with suppress(OSError):  # what could not be written before, as on a full disk, is tried again at the close
            self._file.close()
        self._unfinished.unlink(missing_ok=True)


def _check_plain(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        raise BadInput(f"{path} is no file that can be written over; name another one", path=str(path))
