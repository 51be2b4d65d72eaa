"""The last lines that browsers were told, numbered, so that one that was away reads on where it was.

Bounded in lines and bytes. A reader's place is ``INCARNATION.NUMBER``; a place that is not known any more, or of an
earlier start of the portal, means: tell everything anew.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

MAX_LINES = 4096
MAX_BYTES = 4_194_304


class Ring:
    def __init__(self, incarnation: str, max_lines: int = MAX_LINES, max_bytes: int = MAX_BYTES) -> None:
        self.number = 0
        self._incarnation = incarnation
        self._max_lines = max_lines
        self._max_bytes = max_bytes
        self._lines: deque[bytes] = deque()
        self._bytes = 0

    def append(self, line: bytes) -> None:
        """The next line; the oldest go when there are too many. The newest stays, however large it is."""
        self.number += 1
        self._lines.append(line)
        self._bytes += len(line)
        while len(self._lines) > 1 and (len(self._lines) > self._max_lines or self._bytes > self._max_bytes):
            self._bytes -= len(self._lines.popleft())

    def place(self, number: int) -> str:
        return f"{self._incarnation}.{number}"

    def number_of(self, place: str) -> int | None:
        """The number of a place, if what follows it is still kept."""
        incarnation, _, digits = place.rpartition(".")
        if incarnation != self._incarnation or not (digits.isascii() and digits.isdigit()) or len(digits) > 15:
            return None
        number = int(digits)
        return number if self.number - len(self._lines) <= number <= self.number else None

    def after(self, number: int) -> list[tuple[int, bytes]] | None:
        """The lines after ``number`` with theirs; None when some of them are gone."""
        missed = self.number - number
        if not 0 <= missed <= len(self._lines):
            return None
        kept = islice(self._lines, len(self._lines) - missed, None)
        return list(enumerate(kept, number + 1))
