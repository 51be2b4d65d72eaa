"""The peer book: nodes of the mesh that were met or told of, and where; kept in STATE/peers.json.

Written whole and rarely: a node that finds it missing or damaged starts with an empty one, and finds the others
in any other way.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog
from msgspec import Meta, Struct

from bzzzd.errors import UNREADABLE
from bzzzd.identity.noderecord import MultiaddrText

MOST_PEERS: Final = 1024
_FILE_BYTES: Final = 4_194_304


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """``key`` is hexadecimal, ``last_seen`` Unix seconds, ``seq`` that of the record that ``addresses`` came with."""

    key: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    id: Annotated[str, Meta(max_length=64)]
    addresses: Annotated[tuple[MultiaddrText, ...], Meta(max_length=16)]
    last_seen: float
    seq: int = 0


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    mesh_id: str
    peers: Annotated[tuple[Entry, ...], Meta(max_length=MOST_PEERS)]


class PeerBook:
    """Entries by key, at most 1,024: the one that was not seen for longest goes."""

    def __init__(self, path: Path, mesh_id: str) -> None:
        self._path = path
        self._mesh_id = mesh_id
        self._entries: dict[str, Entry] = {}
        self.changed = False

    def load(self) -> None:
        """Read the file; one of another mesh counts for nothing."""
        try:
            with self._path.open("rb") as file:
                found = msgspec.json.decode(file.read(_FILE_BYTES), type=_File)
        except FileNotFoundError:
            return
        except (OSError, *UNREADABLE) as error:
            structlog.get_logger().warning("peer_book_unreadable", path=str(self._path), why=str(error))
            return
        if found.mesh_id == self._mesh_id:
            self._entries = {entry.key: entry for entry in found.peers}

    def all(self) -> list[Entry]:
        """The entries, the one that was seen last first."""
        return sorted(self._entries.values(), key=lambda entry: -entry.last_seen)

    def get(self, key: bytes) -> Entry | None:
        return self._entries.get(key.hex())

    def told(self, key: bytes, id: str, addresses: Iterable[str], seq: int, now: float) -> bool:
        """A node says where it is; whether that is news. An older word than the known one counts for nothing."""
        known = self._entries.get(key.hex())
        if known is not None and (known.seq > seq or (known.seq == seq and known.addresses)):
            return False
        seen = known.last_seen if known is not None else now
        self._put(Entry(key.hex(), id, tuple(addresses), seen, seq))
        return True

    def seen(self, key: bytes, id: str, now: float) -> None:
        """A node is connected now."""
        known = self._entries.get(key.hex())
        addresses, seq = (known.addresses, known.seq) if known is not None else ((), 0)
        self._put(Entry(key.hex(), id, addresses, now, seq))

    def forget(self, key: bytes) -> None:
        """A node belongs to the mesh no more."""
        if self._entries.pop(key.hex(), None) is not None:
            self.changed = True

    def _put(self, entry: Entry) -> None:
        self._entries[entry.key] = entry
        self.changed = True
        if len(self._entries) > MOST_PEERS:
            del self._entries[min(self._entries.values(), key=lambda one: one.last_seen).key]

    def save(self) -> None:
        """Write the file, if anything has changed. Blocking; raises ``OSError``."""
        if not self.changed:
            return
        self.changed = False
        raw = msgspec.json.encode(_File(self._mesh_id, tuple(self.all())))
        beside = self._path.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                file.write(msgspec.json.format(raw, indent=1))
            beside.replace(self._path)
        except OSError:
            self.changed = True
            raise
