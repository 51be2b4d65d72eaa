"""Server-sent events from bytes, without I/O: the part of the HTML standard's section 9.2 that models use.

Only ``data`` fields matter here. Comments (keep-alives) and other fields are passed over; a line
or an event over the bound raises, so that a server that never ends a line costs no memory.
"""

from __future__ import annotations

from bzzzd.errors import ModelFailed

MAX_EVENT_BYTES = 1_048_576


class EventReader:
    """Feed it bytes as they come; it gives the data of each event that is whole."""

    def __init__(self, limit: int = MAX_EVENT_BYTES) -> None:
        self._limit = limit
        self._buffer = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that ``piece`` completes. Raises ``ModelFailed`` past the bound."""
        self._buffer += piece
        events: list[bytes] = []
        while (line := self._line()) is not None:
            if not line:
                if self._data:
                    events.append(b"\n".join(self._data))
                self._data, self._size = [], 0
            elif line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
                self._size += len(line)
        if len(self._buffer) + self._size > self._limit:
            raise ModelFailed(f"the model sent an event over {self._limit} bytes", reason="too_large")
        return events

    def _line(self) -> bytes | None:
        """The next line without its end (LF, CR or CRLF); a CR at the very end may be half of a CRLF."""
        buffer = self._buffer
        lf, cr = buffer.find(b"\n"), buffer.find(b"\r")
        if cr >= 0 and (lf < 0 or cr < lf):
            if cr + 1 == len(buffer):
                return None
            skip = 2 if buffer[cr + 1] == 0x0A else 1
            self._buffer = buffer[cr + skip :]
            return buffer[:cr]
        if lf < 0:
            return None
        self._buffer = buffer[lf + 1 :]
        return buffer[:lf]
