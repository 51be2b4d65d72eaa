"""What failed reads and writes mean to a person: errors of SQLite and the system, in our words."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Final

from bzzzd.errors import AlreadyRunning, BzzzError, DiskFull, StorageFailed

# After these nobody knows what the disk holds (a failed fsync may have dropped pages, see
# https://lwn.net/Articles/752063/), so the journal stops instead of building on it.
_FATAL: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        sqlite3.SQLITE_IOERR_SHORT_READ,
    }
)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0)


def is_fatal(error: BaseException) -> bool:
    """Whether the journal must stop: what is on the disk can no longer be relied on."""
    if not isinstance(error, sqlite3.Error):
        return False
    code = _code(error)
    return code in _FATAL or code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damaged(path: Path, why: str, **data: str) -> StorageFailed:
    return StorageFailed(
        f"the journal {path} is damaged or is not a journal ({why}); nothing in it was changed. "
        "Stop bzzzd, move the file away, and put a backup in its place",
        path=str(path),
        **data,
    )


def from_sqlite(error: sqlite3.Error, path: Path) -> BzzzError | None:
    """The error for a fault of the disk or the file, or ``None`` when the statement itself is at fault."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    match _code(error) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return DiskFull(
                f"the disk that holds {path} is full; nothing was half-written. "
                "Free some space: later writes then work by themselves",
                path=str(path),
                cause=name,
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_AUTH:
            return StorageFailed(
                f"cannot write the journal {path} ({error}); check that the state folder is on a writable "
                "file system and that it and its files belong to this user",
                path=str(path),
                cause=name,
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return damaged(path, str(error), cause=name)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
            return AlreadyRunning(
                f"another process has the journal {path} open; stop it first (a second bzzzd, or an sqlite3 shell)",
                path=str(path),
                cause=name,
            )
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_NOLFS:
            return StorageFailed(
                f"reading or writing the journal {path} failed ({error}, {name}); "
                "check the disk and the system's log, then start bzzzd again",
                path=str(path),
                cause=name,
            )
    return None


def from_os(error: OSError, path: Path, doing: str) -> StorageFailed:
    """The error for a system call that failed while ``doing`` (like "write") something to ``path``."""
    if error.errno in _FULL:
        return DiskFull(
            f"cannot {doing} {path}: its disk is full; nothing was half-written. Free some space and try again",
            path=str(path),
        )
    hint = "check that its folder exists, is on a writable file system and belongs to this user"
    return StorageFailed(f"cannot {doing} {path}: {error.strerror or error}; {hint}", path=str(path))
