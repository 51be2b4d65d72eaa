"""The authority key that a person has pinned, by the socket through which it was met first.

Whoever asks a person for an answer is checked against this key, not against what the daemon says today. A
daemon that shows another one is refused until the person says, by removing the file, that it is right. Portal and
command line of one person have one file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bzzzd.crypto.envelope import open_envelope
from bzzzd.crypto.keys import key_from_text, key_text, write_private
from bzzzd.errors import UNREADABLE, BadInput, GrantRefused, InvalidEnvelope
from bzzzd.identity.grants import Grant, Trust, mesh_id_of

_MOST: Final = 256
_LIMIT: Final = 262_144


class _Pin(Struct, frozen=True):
    authority: str
    mesh: str


class Pins:
    """``path`` is a file in the person's state folder; ``pins_in`` names it."""

    def __init__(self, path: Path, socket: str) -> None:
        self._path = path
        self._socket = socket

    def trust(self) -> Trust | None:
        """The root of trust that was pinned; raises ``BadInput`` when the file is damaged."""
        pin = self._read().get(self._socket)
        return None if pin is None else Trust(pin.mesh, key_from_text(pin.authority))

    def check(self, mesh: str) -> None:
        """Raises ``GrantRefused`` when ``mesh`` is another one than the pinned authority's."""
        pin = self._read().get(self._socket)
        if pin is not None and pin.mesh != mesh:
            raise GrantRefused(
                f"bzzzd on {self._socket} shows mesh {mesh}, and this person has pinned the authority of mesh "
                f"{pin.mesh}: nothing is signed for it. If the machine has joined another mesh and you know that it "
                f"is right, remove {self._path} and start again",
                pinned=pin.mesh,
                shown=mesh,
            )

    def pin(self, mesh: str, authority: bytes) -> Trust:
        """Take the authority for this socket's at the first time; later it must be the same."""
        if mesh_id_of(authority) != mesh:
            raise GrantRefused(f"the authority key that bzzzd shows is not that of mesh {mesh}; nothing is signed")
        self.check(mesh)
        pins = self._read()
        if self._socket not in pins:
            kept = dict(list(pins.items())[-(_MOST - 1) :])
            kept[self._socket] = _Pin(key_text(authority), mesh)
            write_private(self._path, msgspec.json.encode(kept), replace=True)
        return Trust(mesh, authority)

    def _read(self) -> dict[str, _Pin]:
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_LIMIT), type=dict[str, _Pin])
        except FileNotFoundError:
            return {}
        except (OSError, *UNREADABLE) as error:
            raise BadInput(
                f"the file of pinned authorities {self._path} cannot be read; restore it, or remove it when you know "
                "that the daemon is the right one",
                path=str(self._path),
            ) from error


def pins_in(state_dir: Path, socket: str) -> Pins:
    """The pins of the person with this state folder, for the bzzzd behind ``socket``."""
    return Pins(state_dir / "portal" / "authorities.json", socket)


def root_of(chain: Sequence[bytes], mesh_id: str) -> bytes:
    """The key that a chain of grants leads to, which must be the authority of ``mesh_id``.

    Raises ``InvalidEnvelope`` or ``GrantRefused``.
    """
    envelope = open_envelope(chain[-1], kind="grant", mesh_id=mesh_id)
    try:
        issuer = msgspec.msgpack.decode(envelope.payload, type=Grant).issuer
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed grant has a wrong shape: {error}") from error
    Trust(mesh_id, issuer).links(chain)
    return issuer
