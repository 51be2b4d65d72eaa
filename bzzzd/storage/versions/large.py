"""Large content, encrypted and decrypted as it passes: neither side ever holds it whole, nor is it ever plain on disk.

A version's content comes in pieces, is hashed, encrypted by ``age`` into a file and named by its chunks, all in
a thread of its own; reading goes the other way. What the author signed is compared at the end, so a version is
inserted, and a reader told that it is done, only when all of it was right.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyrage
from pyrage import x25519

from bzzzd.errors import BzzzError, InvalidEnvelope, NotAllowed, StorageFailed, Unavailable
from bzzzd.storage.faults import from_os
from bzzzd.storage.folder import TEMPORARY, prepare_folder
from bzzzd.storage.versions.naming import Naming
from bzzzd.storage.versions.pipe import Inward, Outward
from bzzzd.ucxl.version import VersionHeader

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


class _Hashed(Inward):
    """What is fed, hashed as it is read."""

    def __init__(self, salt: bytes) -> None:
        super().__init__()
        self.digest = hashlib.sha256(salt)
        self.size = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.digest.update(piece)
        self.size += len(piece)
        return piece


class _Named(io.BufferedIOBase):
    """A file that names what is written to it."""

    def __init__(self, path: Path) -> None:
        self.naming = Naming()
        self.error: OSError | None = None
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")

    def write(self, piece: Buffer, /) -> int:
        data = bytes(piece)
        self.naming.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error  # pyrage tells its own, without the number
            raise

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        finally:
            self._file.close()


class Sealing:
    """Encrypts a version's content for ``recipients`` while it comes; made on the loop."""

    def __init__(self, folder: Path, header: VersionHeader, recipients: Sequence[str]) -> None:
        self.header = header
        self.fed = 0
        self._folder = folder
        self._recipients = [x25519.Recipient.from_str(text) for text in recipients]
        self._inward = _Hashed(header.salt)
        self._ended: asyncio.Future[tuple[Path, bytes, int]] = asyncio.get_running_loop().create_future()
        self._ended.add_done_callback(lambda future: future.cancelled() or future.exception())
        threading.Thread(target=self._run, args=(asyncio.get_running_loop(),), name="sealing", daemon=True).start()

    async def feed(self, piece: bytes) -> None:
        """Take the next piece. Raises ``InvalidEnvelope`` for more than was signed, ``DiskFull``."""
        if self._ended.done():
            self._ended.result()
        self.fed += len(piece)
        if self.fed > self.header.size:
            self._inward.abort()
            raise InvalidEnvelope(f"more came than the {self.header.size} bytes that were signed")
        if piece:
            await self._inward.feed(piece)

    async def finish(self) -> tuple[Path, bytes, int]:
        """The file of the whole, with its content's name and size; ``InvalidEnvelope`` if it is not what was signed."""
        self._inward.end()
        return await asyncio.shield(self._ended)

    def abort(self) -> None:
        self._inward.abort()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        path = self._folder / f"{TEMPORARY}{secrets.token_hex(8)}"
        try:
            result = self._seal(path)
        except BzzzError as error:
            path.unlink(missing_ok=True)
            _tell(loop, self._ended, error)
        except OSError as error:
            path.unlink(missing_ok=True)
            _tell(loop, self._ended, from_os(error, path, "write content to"))
        else:
            _tell(loop, self._ended, result)
        finally:
            _quietly(self._inward.stop)

    def _seal(self, path: Path) -> tuple[Path, bytes, int]:
        prepare_folder(self._folder)
        out = _Named(path)
        try:
            pyrage.encrypt_io(self._inward, out, self._recipients)
        except (OSError, pyrage.EncryptError) as error:
            if out.error is not None:
                raise out.error from error
            raise Unavailable(f"the content did not come whole ({error}); send it again") from error
        finally:
            out.close()
        header, came = self.header, self._inward
        if came.size != header.size or came.digest.digest() != header.digest:
            raise InvalidEnvelope("the signed digest and size are not those of this content; sign what is sent")
        return path, out.naming.name(), out.naming.size


class Opening:
    """Decrypts a version's content from a file while it is taken; made on the loop."""

    def __init__(self, path: Path, header: VersionHeader, identities: Sequence[str]) -> None:
        self._path = path
        self._header = header
        self._identities = [x25519.Identity.from_str(text) for text in identities]
        self._outward = Outward()
        threading.Thread(target=self._run, name="opening", daemon=True).start()

    async def take(self) -> bytes:
        """The next piece, empty at the end, when all of it was what its author signed; ``StorageFailed`` otherwise."""
        return await self._outward.take()

    def abandon(self) -> None:
        self._outward.abandon()

    def _run(self) -> None:
        out = _Checked(self._outward, self._header.salt)
        try:
            try:
                with self._path.open("rb") as file:
                    pyrage.decrypt_io(file, out, self._identities)
                if (out.size, out.digest.digest()) != (self._header.size, self._header.digest):
                    raise StorageFailed(f"the content in {self._path} is not what its author signed")
            except pyrage.DecryptError as error:
                raise NotAllowed(
                    "this content cannot be decrypted here: it is encrypted for other roles, or it is damaged"
                ) from error
            except OSError as error:
                raise StorageFailed(f"the content in {self._path} is damaged or gone: {error}") from error
        except BzzzError as error:
            _quietly(self._outward.fail, error)
        else:
            _quietly(self._outward.end)


class _Checked(io.BufferedIOBase):
    """Hashes what passes on to the loop."""

    def __init__(self, outward: Outward, salt: bytes) -> None:
        self._outward = outward
        self.digest = hashlib.sha256(salt)
        self.size = 0

    def write(self, piece: Buffer, /) -> int:
        self.digest.update(piece)
        written = self._outward.write(piece)
        self.size += written
        return written


def _tell(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[tuple[Path, bytes, int]],
    result: tuple[Path, bytes, int] | BzzzError,
) -> None:
    """From the thread to whoever waits on the loop, if the loop is still there."""

    def tell() -> None:
        if not future.done():
            if isinstance(result, BzzzError):
                future.set_exception(result)
            else:
                future.set_result(result)

    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(tell)


def _quietly(tell: Callable[..., None], *arguments: object) -> None:
    """Tell the loop, unless nobody there takes anything any more."""
    with contextlib.suppress(OSError, RuntimeError):
        tell(*arguments)
