"""Text that is safe and measurable on a terminal: cleaned once at the border, then fitted to columns.

Everything that comes from the mesh, a file or a paste passes ``clean`` (one line) or ``clean_block``
(several lines) before it enters the model; nothing behind that line looks at control characters again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType

# Terminal sequences go as a whole, so that no "[31m" is left behind: CSI, then OSC / DCS / APC / PM / SOS
# up to their end (or to the end of the line when they have none), then any other two-character escape.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|(?:\x1b[\]P_^X]|[\x9d\x90\x9f\x9e\x98])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
# Characters without a place on a screen of cells: C0 and C1, soft hyphen, bidirectional controls (Trojan
# source, CVE-2021-42574), zero-width fillers, variation selectors (terminals disagree about their width),
# interlinear and tag characters. Zero width joiner and non-joiner stay where they join something, because
# several scripts need them.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_JOINS_NOTHING = re.compile("(?<![^\\s\u200c\u200d])[\u200c\u200d]+|[\u200c\u200d]+(?![^\\s\u200c\u200d])")
_LINE_BREAK = re.compile("\r\n|[\r\u0085\u2028\u2029\x0b\x0c]")
_BROKEN = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_MARKS = (
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
)
_STACKED = re.compile(f"({_MARKS}{{4}}){_MARKS}+")
_BLANKS = re.compile(r"\s+")

# Every character here is one column wide, by itself and in any sequence: no measuring is needed.
_NARROW = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf"
    "\u2190-\u21ff\u2200-\u22ff\u2500-\u25fc\u2713-\u2718]*"
)

ELLIPSIS = "…"


def clean(value: object, limit: int = 1000) -> str:
    """One safe line of at most ``limit`` characters; breaks and runs of blanks become one blank."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text and text == text.strip():
        return text  # nearly all of it
    if len(text) > limit * 4:
        text = text[: limit * 4]  # a 500 kB title costs no more than a long one
    text = _BLANKS.sub(" ", clean_block(text, limit * 4)).strip()
    return text if len(text) <= limit else text[: limit - 1] + ELLIPSIS


def clean_block(text: str, limit: int = 4_000_000) -> str:
    r"""Safe text of several lines: ``\n`` alone breaks, tabs are four blanks, nothing else controls."""
    text = text[:limit]
    if text.isascii() and text.isprintable():
        return text
    if "\x1b" in text or not text.isascii():
        text = _SEQUENCE.sub("", text)
    text = _LINE_BREAK.sub("\n", text).replace("\t", "    ")
    text = _HIDDEN.sub("", text)
    if text.isascii():
        return text
    text = _STACKED.sub(r"\1", _BROKEN.sub("\ufffd", text))
    return _JOINS_NOTHING.sub("", text) if "\u200c" in text or "\u200d" in text else text


# Scripts that run from right to left, and a run of their words with the blanks between them.
_RTL = "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
_RTL_RUN = re.compile(f"{_RTL}{_MARKS}*(?:[ \u200c\u200d]*{_RTL}{_MARKS}*)*")
_LEADING = re.compile(f"^(?:{_MARKS}|[\u200c\u200d])+")
_LRM = "\u200e"


def guarded(text: str) -> str:
    """``text`` so that a terminal which orders lines by itself (UAX #9) moves nothing but right-to-left words.

    A mark on both sides of each run of them keeps numbers, signs and the neighbouring columns where they are:
    ``100 to`` a Hebrew name ``900`` stays in that order. The marks take no column.
    """
    if not _RTL_RUN.search(text):
        return text
    return _RTL_RUN.sub(lambda run: (_LRM if run.start() else "") + run.group() + _LRM, text)


def standing(text: str) -> str:
    """``text`` without marks at its beginning: with nothing to stand on they would fall on what is shown before."""
    return _LEADING.sub("", text)


def _measuring() -> ModuleType:
    # wcwidth's tables take 29 ms to import. The first frame rarely holds wide characters, so it does not wait.
    import wcwidth

    return wcwidth


def is_narrow(text: str) -> bool:
    """Whether each character takes exactly one column on every terminal."""
    return text.isascii() or _NARROW.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _measured_width(text: str) -> int:
    return max(0, int(_measuring().width(text)))


def width(text: str) -> int:
    """Columns that ``text`` (already clean, one line) takes."""
    return len(text) if is_narrow(text) else _measured_width(text)


def graphemes(text: str) -> Iterator[str]:
    """What a person sees as one character each: a base with its marks, a joined emoji, a flag."""
    return iter(text) if is_narrow(text) else _measuring().iter_graphemes(text)


def take(text: str, columns: int) -> str:
    """The longest beginning of ``text`` that fits into ``columns``; no character is cut in half."""
    if is_narrow(text):
        return text[: max(0, columns)]
    used, kept = 0, []
    for cluster in graphemes(text):
        used += width(cluster)
        if used > columns:
            break
        kept.append(cluster)
    return "".join(kept)


def drop(text: str, columns: int) -> str:
    """What is left of ``text`` when its first ``columns`` are gone; a wide character cut in half goes too."""
    if is_narrow(text):
        return text[max(0, columns) :]
    position, used = 0, 0
    for cluster in graphemes(text):
        if used >= columns:
            break
        used += width(cluster)
        position += len(cluster)
    return text[position:]


@lru_cache(maxsize=4096)
def fit(text: str, columns: int, align: str = "left") -> str:
    """``text`` in exactly ``columns``: padded with blanks, or cut with an ellipsis."""
    if columns <= 0:
        return ""
    have = width(text)
    if have > columns:
        text = take(text, columns - 1) + ELLIPSIS
        have = width(text)
    gap = " " * (columns - have)
    return gap + text if align == "right" else text + gap


def _wrap_line(line: str, columns: int) -> Iterator[str]:
    if len(line) <= 8 * columns and width(line) <= columns:
        yield line
        return
    narrow = is_narrow(line)
    indent = len(line) - len(line.lstrip(" "))
    hang = " " * min(indent, columns // 3)
    start, lead = 0, ""
    while start < len(line):
        room = max(1, columns - len(lead))
        # A window bounds the work on one long line; joined characters are several code points a column.
        rest = line[start : start + (room + 1 if narrow else 4 * room + 64)]
        if start + len(rest) == len(line) and width(rest) <= room:
            yield lead + rest
            return
        piece = take(rest, room) or next(graphemes(rest))  # one that is wider than the window stands alone
        space = piece.rfind(" ") if rest[len(piece) : len(piece) + 1] != " " else len(piece)
        if space > len(piece) - len(piece.lstrip(" ")):
            piece = piece[:space]
        yield lead + piece
        start += len(piece)
        while start < len(line) and line[start] == " ":
            start += 1
        lead = hang


def wrap(text: str, columns: int) -> tuple[str, ...]:
    """The lines of ``text`` (a clean block) broken at blanks to ``columns``; an empty text has one line."""
    columns = max(1, columns)
    return tuple(part for line in text.split("\n") for part in _wrap_line(line, columns))


def within(text: str, columns: int, most: int) -> tuple[str, ...]:
    """``wrap`` in at most ``most`` lines; the last one ends with an ellipsis when something is left out."""
    lines = wrap(text, columns)
    if len(lines) <= most:
        return lines
    return (*lines[: most - 1], fit(" ".join(line.strip() for line in lines[most - 1 :]), max(1, columns)))


def chunks(line: str, columns: int) -> tuple[str, ...]:
    """One line of an editor broken hard at ``columns``, nothing left out, so that offsets stay exact."""
    # Few long lines are remembered: each is as large as the text, and every key makes another.
    return (_short_chunks if len(line) < 2000 else _long_chunks)(line, max(1, columns))


def _broken(line: str, columns: int) -> tuple[str, ...]:
    if is_narrow(line):
        return tuple(line[i : i + columns] for i in range(0, len(line), columns)) or ("",)
    parts: list[str] = []
    kept: list[str] = []
    used = 0
    for cluster in graphemes(line):
        size = width(cluster)
        if kept and used + size > columns:
            parts.append("".join(kept))
            kept, used = [], 0
        kept.append(cluster)
        used += size
    return (*parts, "".join(kept))


_short_chunks = lru_cache(maxsize=256)(_broken)
_long_chunks = lru_cache(maxsize=2)(_broken)


# What a terminal without UTF-8, or the Linux console's small font, shows instead of the portal's own signs.
_PLAIN_SIGNS = str.maketrans("●○✓✗■▲▌│─·…→▰▱↑↓“”—", '*o+x=!||--~>#-^v""-')


def ascii_only(text: str) -> str:
    """The same columns in ASCII: known signs become similar ones, anything else ``?`` for each column."""
    if text.isascii():
        return text
    text = text.translate(_PLAIN_SIGNS)
    return "".join(part if part.isascii() else "?" * width(part) for part in graphemes(text))
