"""The difference of two texts as a unified diff, in bounded time whatever the texts are.

The search is Myers' (An O(ND) Difference Algorithm, 1986): exact, and its cost grows with the
number of changed lines alone. Past ``MAX_CHANGES`` the changed middle is shown as replaced whole,
where ``difflib`` could work for minutes on a text made for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Final

MAX_CHANGES: Final = 1_000
MAX_TEXT_BYTES: Final = 4_194_304
CONTEXT_LINES: Final = 3

Opcode = tuple[str, int, int, int, int]


def difference(a: bytes, b: bytes, a_name: str, b_name: str) -> str:
    """The unified diff from ``a`` to ``b``, "" when they are equal; binary content only "differs".

    Text is what decodes as UTF-8 and has no NUL.
    """
    if a == b:
        return ""
    a_text, b_text = _text(a), _text(b)
    if a_text is None or b_text is None:
        return f"binary content differs: {a_name} has {len(a)} bytes, {b_name} has {len(b)} bytes\n"
    if max(len(a), len(b)) > MAX_TEXT_BYTES:
        return f"text over {MAX_TEXT_BYTES} bytes differs: {a_name} has {len(a)} bytes, {b_name} has {len(b)} bytes\n"
    return "".join(_unified(_lines(a_text), _lines(b_text), a_name, b_name))


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _lines(text: str) -> list[str]:
    # Not splitlines(): form feeds and the like are part of a line, for people and for `patch`.
    lines = text.split("\n")
    last = lines.pop()
    return [f"{line}\n" for line in lines] + ([f"{last}\n\\ No newline at end of file\n"] if last else [])


class _Matcher(SequenceMatcher[str]):
    # Lends difflib's grouping of changes into hunks to another search.
    def __init__(self, a: Sequence[str], b: Sequence[str]) -> None:
        super().__init__(None, (), ())
        self._found = list(opcodes(a, b))

    def get_opcodes(self) -> list[Opcode]:  # type: ignore[override]
        return self._found


def _unified(a: list[str], b: list[str], a_name: str, b_name: str) -> Iterator[str]:
    yield f"--- {a_name}\n+++ {b_name}\n"
    for group in _Matcher(a, b).get_grouped_opcodes(CONTEXT_LINES):
        yield f"@@ -{_range(group[0][1], group[-1][2])} +{_range(group[0][3], group[-1][4])} @@\n"
        for tag, a_start, a_end, b_start, b_end in group:
            if tag == "equal":
                yield from (f" {line}" for line in a[a_start:a_end])
            else:
                yield from (f"-{line}" for line in a[a_start:a_end])
                yield from (f"+{line}" for line in b[b_start:b_end])


def _range(start: int, end: int) -> str:
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def opcodes(a: Sequence[str], b: Sequence[str], most: int = MAX_CHANGES) -> Iterator[Opcode]:
    """Equal, replaced, deleted and inserted stretches that turn ``a`` into ``b``, as difflib words them.

    Past ``most`` changes the changed middle is one replacement.
    """
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    tail = 0
    while tail < min(len(a), len(b)) - start and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    a_end, b_end = len(a) - tail, len(b) - tail
    x = y = 0
    for a_from, b_from, length in [*_common(a[start:a_end], b[start:b_end], start, most), (a_end, b_end, tail)]:
        if start and not (x or y):
            yield "equal", 0, start, 0, start
            x = y = start
        if x < a_from or y < b_from:
            tag = "replace" if x < a_from and y < b_from else "delete" if x < a_from else "insert"
            yield tag, x, a_from, y, b_from
        if length:
            yield "equal", a_from, a_from + length, b_from, b_from + length
        x, y = a_from + length, b_from + length


def _common(a: Sequence[str], b: Sequence[str], offset: int, most: int) -> list[tuple[int, int, int]]:
    """Stretches (in ``a``, in ``b``, length) that stay, in order; none when too much has changed."""
    trace = _search(a, b, most)
    x, y = len(a), len(b)
    found: list[tuple[int, int, int]] = []
    for depth in range(len(trace) - 1, 0, -1):
        before, from_x = _step(trace[depth], depth, x - y)
        after_x = from_x if before > x - y else from_x + 1
        if x > after_x:
            found.append((offset + after_x, offset + after_x - (x - y), x - after_x))
        x, y = from_x, from_x - before
    if trace and x:
        found.append((offset, offset, x))
    return found[::-1]


def _step(furthest: list[int], depth: int, diagonal: int) -> tuple[int, int]:
    """The diagonal from which the last change came, and how far along it that was.

    ``furthest`` is indexed by diagonal + ``depth`` + 1, from one below ``-depth`` to one above ``depth``.
    """
    left, right = furthest[diagonal + depth], furthest[diagonal + depth + 2]
    if diagonal == -depth or (diagonal != depth and left < right):
        return diagonal + 1, right
    return diagonal - 1, left


def _search(a: Sequence[str], b: Sequence[str], most: int) -> list[list[int]]:
    """For each number of changes, how far every diagonal had come before it; empty past ``most``."""
    deepest = min(len(a) + len(b), most)
    middle = deepest + 1
    furthest = [0] * (2 * middle + 1)
    trace: list[list[int]] = []
    for depth in range(deepest + 1):
        known = furthest[middle - depth - 1 : middle + depth + 2]
        trace.append(known)
        for diagonal in range(-depth, depth + 1, 2):
            before, x = _step(known, depth, diagonal) if depth else (1, 0)
            x += before < diagonal
            y = x - diagonal
            while x < len(a) and y < len(b) and a[x] == b[y]:
                x, y = x + 1, y + 1
            furthest[middle + diagonal] = x
            if x >= len(a) and y >= len(b):
                return trace
    return []
