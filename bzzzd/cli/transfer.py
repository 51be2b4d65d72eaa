"""Large content between a file and bzzzd, piece by piece, with its progress on standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from bzzzd.cli.files import open_file, write_pieces
from bzzzd.cli.output import mapping, size
from bzzzd.cli.person import Person
from bzzzd.cli.run import Run
from bzzzd.errors import BadInput, StorageFailed
from bzzzd.ucxl.address import Address
from bzzzd.ucxl.version import PlaintextDigest

# Smaller content goes in one message.
AT_ONCE_BYTES: Final = 4 * 1_048_576
PIECE_BYTES: Final = 1_048_576
_PIECE_S: Final = 300.0
_EVERY_S: Final = 0.5


class Progress:
    """How far a transfer is: a line that is written over on a terminal, and nothing elsewhere."""

    def __init__(self, run: Run, what: str, total: int) -> None:
        self._run = run
        self._what = self._under_way = what
        self._total = total
        self._began = time.monotonic()
        self._shown = 0.0
        self._open = False

    def at(self, done: int, *, what: str | None = None, total: int | None = None) -> None:
        """``done`` bytes of ``total``; each ``what`` has a rate of its own."""
        now, what = time.monotonic(), what or self._what
        if what != self._under_way:
            self._under_way, self._began, self._shown = what, now, now
        if self._run.json or not self._run.err.isatty() or now - self._shown < _EVERY_S:
            return
        self._shown, self._open = now, True
        whole = self._total if total is None else total
        rate = size(int(done / max(now - self._began, 0.001)))
        line = f"{what} {size(done)} of {size(whole)} ({100 * done // max(whole, 1)} %), {rate}/s"
        print(f"\r{line:<78}", end="", file=self._run.err, flush=True)

    def end(self) -> None:
        if self._open:
            print(f"\r{'':<78}\r", end="", file=self._run.err, flush=True)


def send_file(run: Run, person: Person, address: Address, path: Path, content_type: str) -> Mapping[str, Any]:
    """Store a file as a version; it is read twice, first for what is signed. Gives bzzzd's answer."""
    with open_file(path) as file:
        digest = PlaintextDigest()
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
        version = person.sign_version(address, digest, content_type)
        begun = mapping(person.tell("context.send_begin", {"version": version}, timeout=run.timeout))
        progress, offset = Progress(run, "sent", digest.size), 0
        file.seek(0)
        data = file.read(PIECE_BYTES)
        while True:
            following = file.read(PIECE_BYTES)
            if offset + len(data) + len(following) > digest.size or not (data or digest.size == 0):
                raise BadInput(f"{path} changed while it was read; send it again", path=str(path))
            asked = {"upload": begun.get("upload"), "offset": offset, "data": data, "last": not following}
            found = mapping(person.tell("context.send", asked, timeout=_PIECE_S))
            offset += len(data)
            progress.at(offset)
            if not following:
                progress.end()
                return found
            data = following


def receive_file(run: Run, person: Person, address: str, path: Path) -> tuple[Mapping[str, Any], int]:
    """Write a version's content to a new file, whole or not at all; gives what is known of it, and its bytes."""
    found, pieces = receive(run, person, address)
    return found, write_pieces(path, pieces)


def receive(run: Run, person: Person, address: str) -> tuple[Mapping[str, Any], Iterator[bytes]]:
    """What is known of a version, and its content piece by piece."""
    progress = Progress(run, "received", 0)
    while True:
        found = mapping(person.read("context.receive_begin", {"address": address}, timeout=_PIECE_S))
        if found.get("download"):
            break
        progress.at(_number(found.get("have")), what="fetched from another node", total=_number(found.get("total")))
    pieces = _pieces(person, found, progress)
    return {name: value for name, value in found.items() if name != "download"}, pieces


def _pieces(person: Person, found: Mapping[str, Any], progress: Progress) -> Iterator[bytes]:
    offset = 0
    while True:
        asked = {"download": found.get("download"), "offset": offset}
        answer = mapping(person.tell("context.receive", asked, timeout=_PIECE_S))
        data = answer.get("data")
        if not isinstance(data, bytes):
            raise StorageFailed("bzzzd sent content with a gap; start again")
        if answer.get("last"):
            progress.end()
            return
        yield data
        offset += len(data)
        progress.at(offset, total=_number(found.get("size")))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
