"""Signed answers on disk until the ledger has said what became of them.

One file an answer, named by its command's id, written whole and synced before anybody is told "sent". The
same bytes go again until a receipt comes, so a portal, a daemon or a network that ends in between costs
nothing; the command's id keeps an answer that went twice from counting twice. Two portals of one person
see the same folder: whichever gets the receipt takes the file away.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from bzzzd.crypto.keys import write_private
from bzzzd.errors import UNREADABLE, NotAllowed

MOST: Final = 256
_LIMIT: Final = 2_097_152
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")

log = logging.getLogger("bzzzd.hap.files.outbox")


class Letter(Struct, frozen=True):
    """One call to be made: ``params`` hold the signed envelope and, for a text or form, its version and content.

    ``mesh`` is the one it was signed for; ``choice`` and ``prompt`` are for telling the person what it was.
    """

    id: str
    mesh: str
    method: str
    params: dict[str, Any]
    prompt: str
    choice: str
    at: float


class Outbox:
    """The folder. All methods read or write the disk: call them off the loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, letter: Letter) -> None:
        """Keep it, durably; raises ``DiskFull``, ``StorageFailed``, or ``NotAllowed`` when ``MOST`` wait already."""
        if len(list(self._paths())) >= MOST:
            raise NotAllowed(
                f"{MOST} answers wait in {self._folder} for bzzzd; it takes them when it is back, then answer again"
            )
        write_private(self._folder / f"{letter.id}.answer", msgspec.msgpack.encode(letter), replace=True)

    def letters(self) -> list[Letter]:
        """What waits, the oldest first; a damaged file is set aside, and counts no more."""
        found = []
        for path in self._paths():
            try:
                with path.open("rb") as file:
                    letter = _letter(file.read(_LIMIT), path.stem)
                if letter is None:
                    path.replace(path.with_suffix(".damaged"))
                else:
                    found.append(letter)
            except FileNotFoundError:  # another portal has its receipt
                continue
            except OSError as error:  # what cannot be read now may be whole: it stays, and is read the next time
                log.warning("%s waits: %s", path, error.strerror or error)
        return sorted(found, key=lambda letter: (letter.at, letter.id))

    def remove(self, id: str) -> None:
        """Its receipt is there. What cannot be taken away goes again, and its id keeps it from counting twice."""
        if not _NAME.match(id):
            return
        try:
            (self._folder / f"{id}.answer").unlink(missing_ok=True)
        except OSError as error:
            log.warning("the answer %s stays in %s: %s", id, self._folder, error.strerror or error)

    def _paths(self) -> list[Path]:
        return [path for path in self._folder.glob("*.answer") if _NAME.match(path.stem)]


def _letter(data: bytes, id: str) -> Letter | None:
    """The letter ``id`` in a file; None when it is damaged, or another one."""
    try:
        letter = msgspec.msgpack.decode(data, type=Letter)
    except UNREADABLE:
        return None
    return letter if letter.id == id else None
