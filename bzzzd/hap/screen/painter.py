"""Frames to bytes: the difference to what the window shows, in one string a frame.

Rows are compared by their segments, never by cells: a cell has no meaning inside a wide or a joined
character. What stands left of the first changed segment and right of the last one stays untouched.

Terminals disagree about how wide some characters are. A segment that holds any but plain narrow ones is
"risky": its place is erased before it is drawn, the cursor is set anew behind it, and everything right of
it in its row is drawn again, so that a wrong guess never moves the neighbours. The window must have
automatic wrapping switched off.
"""

from __future__ import annotations

from bzzzd.hap import links
from bzzzd.hap.rows import Frame, Row, Segment
from bzzzd.hap.text import ascii_only, guarded, is_narrow, standing, width
from bzzzd.hap.themes import Look, Theme

HIDE, SHOW, CLEAR = "\x1b[?25l", "\x1b[?25h", "\x1b[0m\x1b[2J"


def _at(column: int, row: int) -> str:
    return f"\x1b[{row + 1};{column + 1}H"


class Painter:
    """Remembers the frame in the window.

    ``ascii_terminal`` replaces every sign that is not ASCII; with ``link`` addresses become links of the terminal.
    """

    def __init__(self, theme: Theme, *, ascii_terminal: bool = False, link: bool = False) -> None:
        self._ascii = ascii_terminal
        self._link = link
        self._last: Frame | None = None
        self._looks: dict[str, Look] = {}
        self._theme = theme

    def restyle(self, theme: Theme) -> None:
        """Use another theme; the next frame is drawn whole."""
        self._theme = theme
        self._looks.clear()
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
        look: Look | None = None
        target = ""
        if to_end and segments and self._erasable(segments[-1]):
            segments, tail = segments[:-1], segments[-1]
        else:
            tail = None
        for name, text in segments:
            new = self._look(name)
            if self._link and (wanted := links.parts(name)[1]) != target:
                target = wanted
                out.append(links.opening(target))
            if look is None or not (new == look or (text.isspace() and _same_ground(look, new))):
                out.append(self._theme.switch(look, new))
                look = new
            size = width(text)
            if self._ascii:
                out.append(ascii_only(text))
            elif is_narrow(text):
                kept = text.rstrip(" ")
                gap = size - len(kept)
                out.append(f"{kept}\x1b[{gap}X\x1b[{gap}C" if gap > 12 and _bare(look) else text)
            else:
                out.append(f"\x1b[{size}X{guarded(standing(text))}\x1b[{column + size + 1}G")
            column += size
        if target:
            out.append(links.opening(""))
        if tail is not None:
            new = self._look(tail[0])
            out.append(
                ("" if look is not None and _same_ground(look, new) else self._theme.switch(look, new)) + "\x1b[K"
            )
        return "".join(out)

    def _erasable(self, segment: Segment) -> bool:
        """Whether erasing to the end of the line shows the same."""
        return len(segment[1]) > 4 and segment[1].isspace() and _bare(self._look(segment[0]))

    def _look(self, name: str) -> Look:
        name, _ = links.parts(name)  # targets are endless, styles are few
        found = self._looks.get(name)
        if found is None:
            found = self._looks[name] = self._theme.look(name)
        return found


def _bare(look: Look) -> bool:
    """Whether blanks of this look are the terminal's own ground. Only that is erased alike everywhere."""
    return look.bg is None and not look.reverse and not look.underline


def _same_ground(one: Look, other: Look) -> bool:
    """Whether blanks look the same in both."""
    return (one.bg, one.reverse, one.underline) == (other.bg, other.reverse, other.underline) and (
        not one.reverse or one.fg == other.fg
    )
