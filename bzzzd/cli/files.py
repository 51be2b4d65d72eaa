"""Files that a person names: read within bounds, written whole and never over another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bzzzd.crypto.keys import write_failed
from bzzzd.errors import BadInput, Conflict, NotFound, TooLarge
from bzzzd.runtime.newfile import NewFile

MAX_BYTES = 67_108_864


def open_file(path: Path) -> BinaryIO:
    """The file, opened; ``NotFound`` or ``BadInput`` with the reason."""
    try:
        file = path.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", path=str(path)) from error
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}", path=str(path)) from error
    return file


def file_size(path: Path) -> int:
    """The file's size in bytes; ``NotFound`` or ``BadInput`` with the reason."""
    with open_file(path) as file:
        return os.fstat(file.fileno()).st_size


def read_file(path: Path) -> bytes:
    """The file's content, ``TooLarge`` over ``MAX_BYTES``."""
    with open_file(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise TooLarge(f"{path} is over the limit of {MAX_BYTES} bytes", size=len(content), limit=MAX_BYTES)
    return content


def check_new_folder(folder: Path) -> None:
    """Nothing may be in it that belongs to something else; raises ``Conflict`` or ``BadInput``."""
    try:
        taken = folder.exists() and any(folder.iterdir())
    except OSError as error:
        raise BadInput(f"{folder} is no folder to write in: {error.strerror}", path=str(folder)) from error
    if taken:
        raise Conflict(f"{folder} is not empty; name a new folder", path=str(folder))


def make_folder(folder: Path) -> None:
    """The folder, for its owner alone, with those above it; raises ``DiskFull`` or ``StorageFailed``."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise write_failed(folder, error) from error


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """A new file that is gone again, unless it was kept."""
    file = NewFile(path)
    try:
        yield file
    finally:
        file.drop()


def write_new(path: Path, content: bytes) -> None:
    """As ``write_pieces``, in one."""
    write_pieces(path, (content,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> int:
    """Write a new file, whole or not at all, and give its size.

    Only its owner can read it: what was decrypted must not spread by itself. Raises ``Conflict`` when the name is
    taken, ``DiskFull`` or ``StorageFailed``.
    """
    with new_file(path) as file:
        for piece in pieces:
            file.write(piece)
        return file.keep()
