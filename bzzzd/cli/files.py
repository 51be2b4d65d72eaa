"""Files that a person names: read within bounds, written whole and never over another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from bzzzd.errors import BadInput, NotFound, TooLarge
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


def write_new(path: Path, content: bytes) -> None:
    """As ``write_pieces``, in one."""
    write_pieces(path, (content,))


def write_pieces(path: Path, pieces: Iterable[bytes]) -> int:
    """Write a new file, whole or not at all, and give its size.

    Only its owner can read it: what was decrypted must not spread by itself. Raises ``Conflict`` when the name is
    taken, ``DiskFull`` or ``StorageFailed``.
    """
    file = NewFile(path)
    try:
        for piece in pieces:
            file.write(piece)
        return file.keep()
    finally:
        file.drop()
