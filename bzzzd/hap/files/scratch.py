"""The file through which a text goes to the person's own editor and comes back; 0600 in 0700."""

from __future__ import annotations

from pathlib import Path

from bzzzd.errors import BzzzError

TEXT_BYTES = 4_194_304


def put(path: Path, text: str) -> str:
    """Write the text for the editor; gives why it could not."""
    from bzzzd.crypto.keys import write_private  # late, as in state.py

    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, f"{text}\n".encode(), replace=True)
    except (BzzzError, OSError) as error:
        return str(error)
    return ""


def left(path: Path) -> str | None:
    """The text in the file; None when it cannot be read as one."""
    try:
        with path.open("rb") as file:
            data = file.read(TEXT_BYTES + 1)
    except OSError:
        return None
    if len(data) > TEXT_BYTES or b"\0" in data:
        return None
    try:
        return data.decode("utf-8").replace("\r\n", "\n").removesuffix("\n")
    except UnicodeDecodeError:
        return None


def forget(path: Path) -> None:
    path.unlink(missing_ok=True)
