"""Frames to bytes: the difference to what the window shows, in one string a frame.

Rows are compared by their segments, never by cells: a cell has no meaning inside a wide or a joined
character. What stands left of the first changed segment and right of the last one stays untouched.

Terminals disagree about how wide some characters are. A segment that holds any but plain narrow ones is
"risky": its place is erased before it is drawn, the cursor is set anew behind it, and everything right of
it in its row is drawn again, so that a wrong guess never moves the neighbours. The window must have
automatic wrapping switched off.
"""

from __future__ import annotations

from bzzzd.hap.rows import Frame, Row, Segment
from bzzzd.hap.text import ascii_only, is_narrow, width
from bzzzd.hap.themes import Theme

HIDE, SHOW, CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[0m\x1b[2J"


def _at(column: int, row: int) -> str:
    return f"\x1b[{row + 1};{column + 1}H"


class Painter:
    """Remembers the frame in the window. ``ascii_terminal`` replaces every sign that is not ASCII."""

    def __init__(self, theme: Theme, *, ascii_terminal: bool = False) -> None:
        self._ascii = ascii_terminal
        self._last: Frame | None = None
        self._sgr: dict[str, str] = {}
        self._theme = theme

    def restyle(self, theme: Theme) -> None:
        """Use another theme; the next frame is drawn whole."""
        self._theme = theme
        self._sgr.clear()
        self._last = None

    def forget(self) -> None:
        """The window no longer shows the last frame: the next one is drawn whole."""
        self._last = None

    def paint(self, frame: Frame) -> str:
        """What to write so that the window shows ``frame``; empty when it does already."""
        last = self._last
        whole = last is None or len(last.rows) != len(frame.rows)
        parts: list[str] = []
        for number, row in enumerate(frame.rows):
            if whole:
                parts.append(_at(0, number) + self._segments(row, 0, to_end=True))
            elif last is not None and row != last.rows[number]:
                parts.append(self._difference(last.rows[number], row, number))
        self._last = frame
        if not parts and last is not None and last.cursor == frame.cursor:
            return ""
        cursor = SHOW + _at(*frame.cursor) if frame.cursor else ""
        # Hidden while drawing, so that it does not run over the window.
        return HIDE + (CLEAR if whole else "") + "".join(parts) + cursor

    def _difference(self, old: Row, new: Row, number: int) -> str:
        shared = min(len(old), len(new))
        start, column = 0, 0
        while start < shared and old[start] == new[start]:
            column += width(new[start][1])
            start += 1
        stop = 0
        while stop < shared - start and old[-1 - stop] == new[-1 - stop]:
            stop += 1
        middle_old, middle = old[start : len(old) - stop], new[start : len(new) - stop]
        if any(not is_narrow(text) for _, text in (*middle_old, *middle)):
            middle, stop = new[start:], 0
        return _at(column, number) + self._segments(middle, column, to_end=stop == 0)

    def _segments(self, segments: tuple[Segment, ...], column: int, *, to_end: bool) -> str:
        out: list[str] = []
        style = ""
        if to_end and segments and self._erasable(segments[-1]):
            segments, tail = segments[:-1], self._style(segments[-1][0]) + "\x1b[K"
        else:
            tail = ""
        for name, text in segments:
            if name != style:
                out.append(self._style(name))
                style = name
            size = width(text)
            if self._ascii:
                out.append(ascii_only(text))
            elif is_narrow(text):
                kept = text.rstrip(" ")
                gap = size - len(kept)
                out.append(f"{kept}\x1b[{gap}X\x1b[{gap}C" if gap > 12 and self._bare(name) else text)
            else:
                out.append(f"\x1b[{size}X{text}\x1b[{column + size + 1}G")
            column += size
        return "".join(out) + tail

    def _erasable(self, segment: Segment) -> bool:
        """Whether erasing to the end of the line shows the same."""
        name, text = segment
        return len(text) > 4 and text.isspace() and self._bare(name)

    def _bare(self, name: str) -> bool:
        """Whether blanks in this style are the terminal's own ground. Only that is erased alike everywhere."""
        look = self._theme.look(name)
        return look.bg is None and not look.reverse and not look.underline

    def _style(self, name: str) -> str:
        found = self._sgr.get(name)
        if found is None:
            found = self._sgr[name] = self._theme.sgr(name)
        return found
