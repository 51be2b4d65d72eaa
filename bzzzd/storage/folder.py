"""Folders of our own and files that are whole or absent."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from bzzzd.errors import KeyExposed, StorageFailed
from bzzzd.storage.faults import from_os

TEMPORARY: Final = ".tmp-"


def prepare_folder(path: Path) -> Path:
    """Make ``path`` (0700) or check that it is ours, closed to other writers, and writable.

    Raises ``StorageFailed`` for a read-only or unreachable place and ``KeyExposed`` when others
    could swap what is in it. An existing folder's mode is never changed: it may be shared on purpose.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except FileExistsError as error:
        raise StorageFailed(f"{path} is a file, but a folder is needed there; move it away", path=str(path)) from error
    except OSError as error:
        raise from_os(error, path, "make the state folder") from error
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyExposed(
            f"the state folder {path} belongs to uid {found.st_uid}, not to this process's uid {os.geteuid()}; "
            f"run: chown -R {os.geteuid()} '{path}', or set storage.state_dir",
            path=str(path),
        )
    if stat.S_IMODE(found.st_mode) & 0o022:
        raise KeyExposed(
            f"others can write the state folder {path} (mode {stat.S_IMODE(found.st_mode):04o}); "
            f"run: chmod 700 '{path}'",
            path=str(path),
        )
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        raise StorageFailed(
            f"the state folder {path} cannot be written by uid {os.geteuid()} (read-only file system, or not its "
            "owner); make it writable, or name another one in storage.state_dir",
            path=str(path),
        )
    return path


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable (``fsync`` of a file does not cover its name)."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, data: bytes) -> None:
    """Write a 0600 file so that ``path`` is whole and durable afterwards, or as it was before.

    Blocking: two ``fsync`` calls. Raises ``DiskFull`` or ``StorageFailed``.
    """
    temporary = path.with_name(f"{TEMPORARY}{secrets.token_hex(8)}")
    try:
        try:
            with os.fdopen(
                os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
            ) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise from_os(error, path, "write") from error


def settle(path: Path, place: Path) -> None:
    """Give a finished file its name. Blocking."""
    try:
        if not place.parent.is_dir():
            prepare_folder(place.parent)
            sync_folder(place.parent.parent)
        path.replace(place)
        sync_folder(place.parent)
    except OSError as error:
        raise from_os(error, place, "write") from error
