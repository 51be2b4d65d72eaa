"""Text being typed, as a value: lines, a cursor, and the edits that give the next value.

The cursor counts code points, but every edit moves over whole characters as a person sees them
(a base with its marks, a joined emoji). Edits cost what the touched line costs, so a pasted book stays usable.

Every edit can be taken back and done again. What was typed in one go is one step, up to the end of a word;
a buffer keeps ``UNDO_STEPS`` steps, and forgets the oldest when they hold more than ``UNDO_SIZE`` code points.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from bzzzd.hap.text import clean_block, graphemes, is_narrow

UNDO_STEPS = 500
UNDO_SIZE = 1_000_000

_WORD_BEFORE = re.compile(r"\w+\W*$|\W+$")
_WORD_AFTER = re.compile(r"\W*\w+|\W+")


class Step(Struct, frozen=True, gc=False):
    """One edit that can be taken back: from line ``first`` on, ``old`` lines became ``new`` ones.

    ``before`` and ``after`` are the cursor (row, column) on both sides of it; ``size`` counts its code points.
    """

    first: int
    old: tuple[str, ...]
    new: tuple[str, ...]
    before: tuple[int, int]
    after: tuple[int, int]
    size: int = 0


class Buffer(Struct, frozen=True):
    """``row`` and ``column`` are the cursor; ``size`` counts the code points, line breaks included.

    ``done`` are the steps that can be taken back, the newest last; ``undone`` those that can be done again.
    """

    lines: tuple[str, ...] = ("",)
    row: int = 0
    column: int = 0
    size: int = 0
    done: tuple[Step, ...] = ()
    undone: tuple[Step, ...] = ()

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def line(self) -> str:
        return self.lines[self.row]


def of(text: str) -> Buffer:
    """A buffer holding ``text``, the cursor at its end."""
    lines = tuple(clean_block(text).split("\n"))
    return Buffer(lines=lines, row=len(lines) - 1, column=len(lines[-1]), size=sum(map(len, lines)) + len(lines) - 1)


def insert(buffer: Buffer, text: str, limit: int, multiline: bool = True) -> tuple[Buffer, bool]:
    """Put ``text`` in at the cursor; up to ``limit`` code points in all. Returns whether something was cut off."""
    room = max(0, limit - buffer.size)
    text = clean_block(text, limit=4 * (room + 1))
    if not multiline:
        text = text.replace("\n", " ")
    cut = len(text) > room
    text = text[:room]
    if not text:
        return buffer, cut
    line, column = buffer.line, buffer.column
    new = (line[:column] + text).split("\n")
    row, end = buffer.row + len(new) - 1, len(new[-1])
    new[-1] += line[column:]
    lines = (*buffer.lines[: buffer.row], *new, *buffer.lines[buffer.row + 1 :])
    return _edited(buffer, Buffer(lines=lines, row=row, column=end, size=buffer.size + len(text))), cut


def _edited(old: Buffer, new: Buffer) -> Buffer:
    """``new`` with the step that leads to it. An edit touches lines around the two cursors and no others."""
    first = min(old.row, new.row)
    rest = min(len(old.lines) - old.row, len(new.lines) - new.row) - 1
    gone, come = old.lines[first : len(old.lines) - rest], new.lines[first : len(new.lines) - rest]
    step = _step(first, gone, come, (old.row, old.column), (new.row, new.column))
    if gone == come:
        return replace(new, done=old.done, undone=old.undone)
    if old.done and _goes_on(old.done[-1], step):
        last = old.done[-1]
        return replace(new, done=(*old.done[:-1], _step(last.first, last.old, come, last.before, step.after)))
    done = (*old.done, step)[-UNDO_STEPS:]
    if step.size > 1000 or len(done) == UNDO_STEPS:  # few steps are large, and only they can pass the bound
        while len(done) > 1 and sum(one.size for one in done) > UNDO_SIZE:
            done = done[1:]
    return replace(new, done=done)


def _step(
    first: int, old: tuple[str, ...], new: tuple[str, ...], before: tuple[int, int], after: tuple[int, int]
) -> Step:
    return Step(first, old, new, before, after, sum(map(len, old)) + sum(map(len, new)))


def _goes_on(last: Step, step: Step) -> bool:
    """Whether a step is one more character of the word that the last one typed."""
    if not (len(last.new) == len(step.old) == len(step.new) == 1 and last.after == step.before):
        return False
    start, stop = step.before[1], step.after[1]
    typed = step.new[0][start:stop]
    before = step.old[0][start - 1 : start]
    return stop == start + 1 and last.after[1] > last.before[1] and not (before == " " and typed != " ")


def _replayed(buffer: Buffer, step: Step, lines: tuple[str, ...], gone: tuple[str, ...], at: tuple[int, int]) -> Buffer:
    size = buffer.size + sum(map(len, lines)) + len(lines) - sum(map(len, gone)) - len(gone)
    whole = (*buffer.lines[: step.first], *lines, *buffer.lines[step.first + len(gone) :])
    return replace(buffer, lines=whole, row=at[0], column=at[1], size=size)


def undo(buffer: Buffer) -> Buffer:
    """The buffer before its newest step; the same one when there is none."""
    if not buffer.done:
        return buffer
    *done, step = buffer.done
    before = _replayed(buffer, step, step.old, step.new, step.before)
    return replace(before, done=tuple(done), undone=(*buffer.undone, step))


def redo(buffer: Buffer) -> Buffer:
    """The step that was taken back last, done again."""
    if not buffer.undone:
        return buffer
    *undone, step = buffer.undone
    after = _replayed(buffer, step, step.new, step.old, step.after)
    return replace(after, done=(*buffer.done, step), undone=tuple(undone))


def changed_to(buffer: Buffer, text: str, limit: int) -> tuple[Buffer, bool]:
    """The buffer with another text, as one step; for what comes back from an editor. And whether it was cut."""
    whole, cut = insert(Buffer(), text, limit)
    if whole.lines == buffer.lines:
        return buffer, cut
    step = _step(0, buffer.lines, whole.lines, (buffer.row, buffer.column), (whole.row, whole.column))
    return replace(whole, done=(*buffer.done[-UNDO_STEPS + 1 :], step)), cut


def _before(line: str, column: int) -> int:
    """Where the character in front of ``column`` begins."""
    if is_narrow(line[max(0, column - 2) : column + 1]):
        return max(0, column - 1)
    start = max(0, column - 64)
    position = start
    for cluster in graphemes(line[start:column]):
        if position + len(cluster) >= column:
            break
        position += len(cluster)
    return position


def _after(line: str, column: int) -> int:
    """Where the character at ``column`` ends."""
    return column + len(next(graphemes(line[column : column + 64]), ""))


def _put(buffer: Buffer, line: str, column: int) -> Buffer:
    lines = (*buffer.lines[: buffer.row], line, *buffer.lines[buffer.row + 1 :])
    size = buffer.size + len(line) - len(buffer.line)
    return _edited(buffer, Buffer(lines=lines, row=buffer.row, column=column, size=size))


def _join(buffer: Buffer, row: int) -> Buffer:
    """Take away the break between ``row`` and the next; the cursor goes there."""
    first, second = buffer.lines[row : row + 2]
    lines = (*buffer.lines[:row], first + second, *buffer.lines[row + 2 :])
    return _edited(buffer, Buffer(lines=lines, row=row, column=len(first), size=buffer.size - 1))


def left(buffer: Buffer) -> Buffer:
    if buffer.column:
        return replace(buffer, column=_before(buffer.line, buffer.column))
    return replace(buffer, row=buffer.row - 1, column=len(buffer.lines[buffer.row - 1])) if buffer.row else buffer


def right(buffer: Buffer) -> Buffer:
    if buffer.column < len(buffer.line):
        return replace(buffer, column=_after(buffer.line, buffer.column))
    return replace(buffer, row=buffer.row + 1, column=0) if buffer.row + 1 < len(buffer.lines) else buffer


def word_left(buffer: Buffer) -> Buffer:
    start = max(0, buffer.column - 256)  # the search is quadratic, so it gets a window
    found = _WORD_BEFORE.search(buffer.line[start : buffer.column])
    return replace(buffer, column=start + found.start()) if found else left(buffer)


def word_right(buffer: Buffer) -> Buffer:
    found = _WORD_AFTER.match(buffer.line, buffer.column)
    return replace(buffer, column=found.end()) if found else right(buffer)


def home(buffer: Buffer) -> Buffer:
    return replace(buffer, column=0)


def end(buffer: Buffer) -> Buffer:
    return replace(buffer, column=len(buffer.line))


def first(buffer: Buffer) -> Buffer:
    return replace(buffer, row=0, column=0)


def last(buffer: Buffer) -> Buffer:
    return replace(buffer, row=len(buffer.lines) - 1, column=len(buffer.lines[-1]))


def vertical(buffer: Buffer, by: int) -> Buffer:
    """Up or down by lines, the column kept as far as the line goes."""
    row = max(0, min(len(buffer.lines) - 1, buffer.row + by))
    line = buffer.lines[row]
    column = min(buffer.column, len(line))
    start = _before(line, column)
    return replace(buffer, row=row, column=column if _after(line, start) == column else start)


def backspace(buffer: Buffer) -> Buffer:
    if buffer.column:
        start = _before(buffer.line, buffer.column)
        return _put(buffer, buffer.line[:start] + buffer.line[buffer.column :], start)
    return _join(buffer, buffer.row - 1) if buffer.row else buffer


def delete(buffer: Buffer) -> Buffer:
    if buffer.column < len(buffer.line):
        stop = _after(buffer.line, buffer.column)
        return _put(buffer, buffer.line[: buffer.column] + buffer.line[stop:], buffer.column)
    return _join(buffer, buffer.row) if buffer.row + 1 < len(buffer.lines) else buffer


def delete_word(buffer: Buffer) -> Buffer:
    target = word_left(buffer)
    if target.row != buffer.row:
        return backspace(buffer)
    return _put(buffer, buffer.line[: target.column] + buffer.line[buffer.column :], target.column)


def delete_word_after(buffer: Buffer) -> Buffer:
    target = word_right(buffer)
    if target.row != buffer.row:
        return delete(buffer)
    return _put(buffer, buffer.line[: buffer.column] + buffer.line[target.column :], buffer.column)


def delete_to_end(buffer: Buffer) -> Buffer:
    if buffer.column == len(buffer.line):
        return delete(buffer)
    return _put(buffer, buffer.line[: buffer.column], buffer.column)


def delete_to_start(buffer: Buffer) -> Buffer:
    return _put(buffer, buffer.line[buffer.column :], 0)


EDITS: dict[str, Callable[[Buffer], Buffer]] = {
    "left": left,
    "right": right,
    "word-left": word_left,
    "word-right": word_right,
    "line-start": home,
    "line-end": end,
    "backspace": backspace,
    "delete": delete,
    "delete-word": delete_word,
    "delete-word-after": delete_word_after,
    "delete-to-end": delete_to_end,
    "delete-to-start": delete_to_start,
    "text-start": first,
    "text-end": last,
    "undo-typing": undo,
    "redo-typing": redo,
}
