"""How it stands with bzzzd and the mesh, in the words of the banner: why what is shown may be old. Pure."""

from __future__ import annotations

from bzzzd.hap import words
from bzzzd.hap.text import within
from bzzzd.hap.values.model import Model

_MOST_LINES = 2
_MOST_WARNINGS = 3
_SHARED = "development: processes share one uid, so approvals are not protected from agents"


def told(model: Model) -> str:
    """What the banner says; nothing while all is well."""
    link, now, offset = model.link, model.now, model.utc_offset
    seen = f"seen up to #{link.number}, {words.clock(link.seen, now, offset)}" if link.seen else "nothing seen yet"
    if link.state == "connecting":
        return f"○ connecting to {link.socket} · {seen}"
    if link.state == "offline":
        lag = words.age(now - link.since)
        return f"▲ offline{'' if lag == 'now' else f' for {lag}'} · {seen} · {link.why}"
    if model.me.mend:
        return f"▲ guest: {model.me.mend}"
    if model.status.ledger_away:
        where = f" at {model.status.coordinator}" if model.status.coordinator else ""
        return f"▲ the ledger{where} does not answer · {seen} · what you send waits on this node until it does"
    return ""


def lines(model: Model, columns: int) -> tuple[str, ...]:
    """The same in lines of a window: two where one is too short; what is left then is cut."""
    said = told(model)
    return within(said, max(1, columns - 2), _MOST_LINES) if said else ()


def warned(model: Model, columns: int) -> tuple[str, ...]:
    """What the node warns of, in lines of a window: two for each warning at most."""
    known, room = model.status, max(1, columns - 4)
    # A node in development says more about that itself; one that does not is not taken for protected.
    said = known.warnings[:_MOST_WARNINGS] or ((_SHARED,) if known.development else ())
    found: list[str] = []
    for warning in said:
        parts = within(warning, room, _MOST_LINES)
        found += [f"{'  ' if number else '▲ '}{part}" for number, part in enumerate(parts)]
    return tuple(found)
