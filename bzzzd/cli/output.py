"""What a command prints: tables, times and sizes for people, and text that cannot drive their terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO


def clean(value: object, *, lines: bool = False) -> str:
    """Received text without control characters, bidirectional overrides and unassigned ones.

    ``lines`` keeps line ends and turns tabs into spaces; otherwise the text is one line.
    """
    text = value if isinstance(value, str) else "" if value is None else str(value)
    if text.isprintable():
        return text
    if lines:
        text = text.replace("\r\n", "\n").expandtabs(8)
        return "\n".join(map(clean, text.split("\n")))
    # Every kind of space but the plain one counts as unprintable; it is shown as a plain one.
    return "".join(char if char.isprintable() else " " if char.isspace() else "" for char in text)


def width(text: str) -> int:
    """Columns of a terminal that ``text`` takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], out: TextIO) -> None:
    """Aligned columns under a head; on a terminal the last column is cut at the edge."""
    lines = [list(head), *([clean(cell) for cell in row] for row in rows)]
    widths = [max(width(line[index]) for line in lines) for index in range(len(head))]
    room = _columns(out)
    for line in lines:
        cells = [cell + " " * (widths[index] - width(cell)) for index, cell in enumerate(line)]
        print(_cut("  ".join(cells).rstrip(), room), file=out)


def facts(rows: Iterable[tuple[str, object]], out: TextIO) -> None:
    """Names and values under each other; empty values are left out."""
    shown = [(name, clean(value)) for name, value in rows]
    shown = [(name, value) for name, value in shown if value]
    broad = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        print(f"{name:<{broad}}  {value}", file=out)


def _columns(out: TextIO) -> int:
    try:
        return os.get_terminal_size(out.fileno()).columns if out.isatty() else 0
    except (OSError, ValueError):
        return 0


def _cut(line: str, room: int) -> str:
    if not room or width(line) <= room:
        return line
    while line and width(line) > room - 1:
        line = line[:-1]
    return line + "…"


def duration(seconds: object) -> str:
    """Seconds in the two largest units: ``3 h 12 min``, ``0.4 s``."""
    left = number(seconds)
    if left < 10:
        return f"{max(left, 0.0):.1f} s"
    parts = []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(int(left), size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def when(at: object) -> str:
    """A Unix time as local date and time; empty when there is none."""
    moment = number(at)
    if not 0 < moment < 4e11:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
    except (OverflowError, OSError, ValueError):
        return ""


def size(count: object) -> str:
    amount = number(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def number(value: object) -> float:
    """A number of an answer; 0 for what is none, or without end."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if good and isinstance(value, int | float) else 0.0


def rows_of(value: object, key: str) -> list[Mapping[str, Any]]:
    """The maps listed under ``key`` of an answer; whatever else is there is left out."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return [row for row in found if isinstance(row, Mapping)] if isinstance(found, list | tuple) else []


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def words(value: object) -> str:
    """A list of names as one cell."""
    return ", ".join(clean(item) for item in value) if isinstance(value, list | tuple) else clean(value)


def cell(value: object) -> str:
    """A value of an answer in one line, whether it is a list, a few counts, or a word."""
    counts = mapping(value)
    return ", ".join(f"{clean(name)} {clean(count)}" for name, count in counts.items()) if counts else words(value)


def readable(content: object, content_type: str = "") -> str:
    """Content of any type as text that can be printed on a terminal."""
    from bzzzd.ucxl.readable import text_of

    return clean(text_of(content, content_type), lines=True).strip("\n")


def to_json(value: object) -> str:
    """JSON with only ASCII characters; bytes that are UTF-8 become text, others ``{"base64": …}``."""
    import json

    return json.dumps(_plain(value), indent=2)


def to_json_line(value: object) -> str:
    import json

    return json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {item if isinstance(item, str) else str(_plain(item)): _plain(inner) for item, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            import base64

            return {"base64": base64.b64encode(value).decode("ascii")}
    return value
