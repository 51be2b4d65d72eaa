r"""How ciphertext is named: by its SHA-256, or past one chunk by the SHA-256 of the list of its chunks' hashes.

    up to CHUNK_BYTES   sha256(data)
    above               sha256("bzzz-chunks-1\n" ‖ size (8 bytes) ‖ sha256(chunk 0) ‖ sha256(chunk 1) ‖ …)

So whoever knows a name can check the list, and with it every chunk as it arrives, from whomever.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from bzzzd.errors import InvalidEnvelope

CHUNK_BYTES: Final = 1_048_576
HASH_BYTES: Final = 32
_DOMAIN: Final = b"bzzz-chunks-1\n"


def chunks_of(size: int) -> int:
    """How many chunks content of ``size`` bytes has; at least one."""
    return max(1, -(-size // CHUNK_BYTES))


def chunk_span(size: int, index: int) -> tuple[int, int]:
    """Offset and length of chunk ``index``."""
    start = index * CHUNK_BYTES
    return start, min(CHUNK_BYTES, size - start)


def name_of(data: bytes) -> bytes:
    """The name of ``data`` that is in memory."""
    if len(data) <= CHUNK_BYTES:
        return hashlib.sha256(data).digest()
    naming = Naming()
    naming.update(data)
    return naming.name()


def name_of_list(size: int, hashes: Sequence[bytes]) -> bytes:
    """The name that ``size`` bytes in chunks with these hashes have."""
    if len(hashes) != chunks_of(size) or any(len(hash) != HASH_BYTES for hash in hashes):
        raise InvalidEnvelope(f"content of {size} bytes has {chunks_of(size)} chunks, not {len(hashes)}")
    if len(hashes) == 1:
        return bytes(hashes[0])
    return hashlib.sha256(b"".join((_DOMAIN, size.to_bytes(8, "big"), *hashes))).digest()


class Naming:
    """Names what passes piece by piece; ``hashes`` are those of the chunks that are full."""

    def __init__(self) -> None:
        self.size = 0
        self.hashes: list[bytes] = []
        self._chunk = hashlib.sha256()
        self._room = CHUNK_BYTES

    def update(self, piece: bytes | memoryview) -> None:
        view = memoryview(piece)
        while view:
            if not self._room:
                self._turn()
            part, view = view[: self._room], view[self._room :]
            self._chunk.update(part)
            self.size += len(part)
            self._room -= len(part)

    def _turn(self) -> None:
        self.hashes.append(self._chunk.digest())
        self._chunk = hashlib.sha256()
        self._room = CHUNK_BYTES

    def list(self) -> list[bytes]:
        """The hashes of all chunks, the last one included."""
        return [*self.hashes, self._chunk.digest()]

    def name(self) -> bytes:
        return name_of_list(self.size, self.list())
