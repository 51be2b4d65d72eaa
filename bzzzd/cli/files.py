"""Files that a person names: read within bounds, written whole and never over another."""

from __future__ import annotations

from pathlib import Path

from bzzzd.crypto.keys import write_private
from bzzzd.errors import BadInput, Conflict, NotFound, TooLarge

MAX_BYTES = 67_108_864


def read_file(path: Path) -> bytes:
    """The file's content; ``NotFound``, ``BadInput`` or ``TooLarge`` with the reason."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", path=str(path)) from error
    except OSError as error:
        raise BadInput(f"cannot read {path}: {error.strerror}", path=str(path)) from error
    if len(content) > MAX_BYTES:
        raise TooLarge(f"{path} is over the limit of {MAX_BYTES} bytes", size=len(content), limit=MAX_BYTES)
    return content


def write_new(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read: what was decrypted must not spread by itself."""
    try:
        write_private(path, content)
    except FileExistsError as error:
        raise Conflict(f"{path} exists already; name a new file", path=str(path)) from error
