"""How times, ages, sizes, states and titles are written."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from bzzzd.hap.text import fit


class Sign(NamedTuple):
    """A state's sign, its style and its word: the sign and the word tell it without the colour."""

    sign: str
    style: str
    word: str


_TASK_SIGNS = {
    "submitted": Sign("○", "info", "submitted"),
    "working": Sign("●", "accent", "working"),
    "input_required": Sign("▲", "warn", "input_required"),
    "completed": Sign("✓", "ok", "completed"),
    "failed": Sign("✗", "bad", "failed"),
    "canceled": Sign("■", "dim", "canceled"),
    "rejected": Sign("✗", "bad", "rejected"),
}
_SERVICE_SIGNS = {
    "ready": Sign("●", "ok", "ready"),
    "starting": Sign("○", "info", "starting"),
    "degraded": Sign("▲", "warn", "degraded"),
    "failed": Sign("✗", "bad", "failed"),
    "stopped": Sign("■", "dim", "stopped"),
}


_NEED_SIGNS = {
    "prompt": Sign("▲", "warn", "asks you"),
    "unknown": Sign("✗", "bad", "unknown"),
    "mention": Sign("●", "info", "mention"),
    "task": Sign("○", "info", "task"),
}


_PROMPT_SIGNS = {
    "open": Sign("▲", "warn", "open"),
    "seen": Sign("▲", "warn", "seen"),
    "answered": Sign("●", "info", "answered"),
    "claimed": Sign("●", "accent", "claimed"),
    "executed": Sign("✓", "ok", "executed"),
    "failed": Sign("✗", "bad", "failed"),
    "unknown": Sign("✗", "bad", "unknown"),
    "expired": Sign("■", "dim", "expired"),
    "canceled": Sign("■", "dim", "canceled"),
    "superseded": Sign("■", "dim", "superseded"),
}


def prompt_sign(state: str) -> Sign:
    return _PROMPT_SIGNS.get(state, Sign("·", "dim", state))


def need_sign(kind: str, risk: str = "") -> Sign:
    if kind == "prompt" and risk == "high":
        return Sign("▲", "bad", "high risk")
    return _NEED_SIGNS.get(kind, Sign("·", "dim", kind))


def task_sign(state: str) -> Sign:
    return _TASK_SIGNS.get(state, Sign("·", "dim", state))


def service_sign(state: str) -> Sign:
    return _SERVICE_SIGNS.get(state, Sign("·", "dim", state))


def presence(present: bool, word: str) -> Sign:
    return Sign("●", "ok", word) if present else Sign("○", "dim", "away")


def occupied(attached: bool, load: float, slots: int) -> Sign:
    """How an agent is: free, busy with room for more, full, or away."""
    if not attached:
        return Sign("○", "dim", "away")
    if load >= slots:
        return Sign("▲", "warn", "full")
    return Sign("●", "accent", "busy") if load > 0 else Sign("●", "ok", "free")


def age(seconds: float) -> str:
    """A duration in at most three characters for years to come: ``10s``, ``5m``, ``3h``, ``8d``, ``40w``.

    Seconds go in steps of five, because the window is drawn again no more often for an age alone.
    A time in the future, from a clock that is ahead, is ``now``.
    """
    if seconds < 5:
        return "now"
    for limit, unit, size in ((60, "s", 1), (3600, "m", 60), (86400, "h", 3600), (86400 * 60, "d", 86400)):
        if seconds < limit:
            return f"{int(seconds // 5) * 5 if size == 1 else int(seconds // size)}{unit}"
    return f"{int(seconds // (86400 * 7))}w"


def left(seconds: float) -> str:
    """The time that is left, to the second in the last minute: ``42s``, ``5m``, ``3h``; ``over`` when it is none."""
    return "over" if seconds <= 0 else f"{int(seconds)}s" if seconds < 60 else age(seconds)


def ago(seconds: float) -> str:
    """A duration as a time in the past: ``5m ago``, ``just now``."""
    told = age(seconds)
    return "just now" if told == "now" else f"{told} ago"


def since(at: float, now: float) -> str:
    """The age of something that happened at ``at``; empty when that is not known."""
    return age(now - at) if at > 0 else ""


def clock(at: float, now: float, offset: int) -> str:
    """A time of day, with its date when that is not today; ``offset`` is the person's from UTC in seconds."""
    if at <= 0:
        return "never"
    local, today = at + offset, now + offset
    seconds = int(local) % 86400
    time = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return time if int(local // 86400) == int(today // 86400) else f"{_date(int(local // 86400))} {time}"


def _date(days: int) -> str:
    """ISO date of a day since the epoch, in the proleptic Gregorian calendar."""
    return date.fromordinal(max(1, min(3652059, days + 719163))).isoformat()


def size(count: int) -> str:
    """Bytes with a unit."""
    if count < 1024:
        return f"{count} B"
    for unit, step in (("KiB", 1024), ("MiB", 1024**2)):
        if count < step * 1024:
            return f"{count / step:.1f} {unit}"
    return f"{count / 1024**3:.1f} GiB"


def bar(done: float, total: float, columns: int) -> str:
    """A progress bar; empty when the total is unknown."""
    if total <= 0 or columns <= 0:
        return ""
    filled = round(columns * _share(done, total))
    return "▰" * filled + "▱" * (columns - filled)


def percent(done: float, total: float) -> str:
    return f"{int(100 * _share(done, total))}%" if total > 0 else ""


def _share(done: float, total: float) -> float:
    """From 0 to 1, whatever an agent says: beside a total that is next to nothing anything is endless."""
    return max(0.0, min(1.0, done / total))


def called(title: str, id: str) -> str:
    """What something is called in a sentence: its title, or its id where that cannot be read."""
    return f"“{fit(title, 36).rstrip()}”" if title else id


def plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
