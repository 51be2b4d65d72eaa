"""One instance of an id and kind: a lock that the kernel holds and a crash cannot leave behind."""

from __future__ import annotations

import errno
import fcntl
import os
import re
from pathlib import Path
from types import TracebackType

from bzzzd.errors import AlreadyRunning, BadInput, DiskFull, StorageFailed

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}\Z")


class InstanceLock:
    """``flock`` on ``FOLDER/KIND-ID.lock`` (0600), held from ``acquire`` to ``release`` or the process's end.

    The pid inside the file is information for people; the lock is the kernel's. So a file that is left over from
    a crash means nothing, and the file is never removed: removing it would let two processes lock two files of
    one name. The descriptor is not inherited by children, so a child that outlives its parent keeps no lock.
    """

    def __init__(self, folder: Path, kind: str, identity: str) -> None:
        if not (_NAME.match(kind) and _NAME.match(identity)):
            raise BadInput(f"{kind}-{identity} is no name for a lock file: use A-Z a-z 0-9 _ - .")
        self.path = folder / f"{kind}-{identity}.lock"
        self._what = f"{kind} {identity}"
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock. Raises ``AlreadyRunning`` naming the holder's pid, ``StorageFailed`` if it cannot write."""
        if self.held:
            return
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            pid = self._holder(descriptor)
            os.close(descriptor)
            raise AlreadyRunning(
                f"{self._what} is already running{f' as process {pid}' if pid else ''}; "
                f"stop it first, or give this one a state folder of its own",
                pid=pid,
                lock=str(self.path),
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise self._unwritable(error) from error
        self._descriptor = descriptor

    def _holder(self, descriptor: int) -> int | None:
        text = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        return int(text) if text.isdigit() else None

    def _unwritable(self, error: OSError) -> StorageFailed:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return DiskFull(f"cannot lock {self.path}: the disk is full; free some space", path=str(self.path))
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        return StorageFailed(
            f"cannot lock {self.path}: {why}; the state folder must be writable by this user", path=str(self.path)
        )

    def release(self) -> None:
        """Give the lock back. Releasing twice is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> InstanceLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
