"""Text files that a person quotes: read whole or refused with the reason, cleaned like all that is shown."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from bzzzd.hap.text import clean_block
from bzzzd.hmmm.forms import FILE_LIMIT


def read_texts(paths: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The texts by path, and why the others cannot be quoted. Blocks on the disk; a pipe or device is refused."""
    texts: dict[str, str] = {}
    faults: dict[str, str] = {}
    for path in paths:
        try:
            texts[path] = _text(Path(path).expanduser())
        except (OSError, RuntimeError) as error:
            faults[path] = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        except ValueError as error:
            faults[path] = str(error)
    return texts, faults


def _text(path: Path) -> str:
    # Not to wait for the writer of a pipe; and what was judged is what is read.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is not a file")
        if found.st_size > FILE_LIMIT:
            raise ValueError(
                f"has {found.st_size} bytes, and at most {FILE_LIMIT} can be quoted; `bzzz context put` it"
            )
        raw = file.read(FILE_LIMIT + 1)
    try:
        return clean_block(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError("is not UTF-8 text; `bzzz context put` it and refer to its address") from error
