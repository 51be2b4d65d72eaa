"""A terminal to paint on: what the bytes of a painter show."""

from __future__ import annotations

import pyte
from pyte import modes

Cells = list[list[tuple[str, ...]]]


class Glass:
    """A pyte screen as the portal's window sets it up: no automatic wrapping."""

    def __init__(self, width: int, height: int) -> None:
        self.screen = pyte.Screen(width, height)
        self.screen.reset_mode(modes.DECAWM)
        self._stream = pyte.Stream(self.screen)

    def show(self, data: str) -> None:
        self._stream.feed(data)

    def cells(self) -> list[list[object]]:
        """Every cell with its colours and attributes; a blank shows no foreground, so it has none."""
        rows = []
        for y in range(self.screen.lines):
            row: list[object] = []
            for x in range(self.screen.columns):
                cell = self.screen.buffer[y][x]
                seen = cell.bg, cell.reverse, cell.underscore
                row.append((cell.data, cell.fg, cell.bold, *seen) if cell.data.strip() else (cell.data, *seen))
            rows.append(row)
        return rows

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display]
