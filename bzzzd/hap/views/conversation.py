"""An opened thread: what was said, replies below what they reply to, kinds as words, what each refers to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from msgspec import Struct

from bzzzd.hap import words
from bzzzd.hap.links import block
from bzzzd.hap.rows import Row, Segment, joined, row_width
from bzzzd.hap.text import wrap
from bzzzd.hap.values.model import Model, Page
from bzzzd.hap.values.talk import Placed, Said, Thread, calls, placed
from bzzzd.hap.views import threads
from bzzzd.hap.views.prose import told

_DOT: Segment = ("dim", " · ")
_KINDS = {
    "proposal": "info", "question": "warn", "answer": "base", "agreement": "ok", "concern": "warn", "objection": "bad",
    "summary": "accent", "escalation": "bad",
}  # fmt: skip
_ASIDE = {
    "closed": "came after the thread was closed",
    "participants": "too many take part",
    "hops": "too many replies without a person's word",
    "window": "came after the objection window",
}
_STANDING = {
    "running": ("info", "may be objected to"),
    "objected": ("bad", "objected to"),
    "settled": ("ok", "settled"),
    "superseded": ("dim", "superseded"),
}
_INDENT = 2
_DEEPEST = 12


def head(model: Model, page: Page, columns: int, height: int) -> list[Row]:
    """What stands above the messages."""
    thread = model.talk.threads.get(page.id) or Thread(page.id)
    lines = wrap(threads.name(model, thread), max(1, columns - 2))[: 2 if height >= 12 else 1]
    rows: list[Row] = [(("strong", " " + line),) for line in lines]
    if height >= 5:
        state = threads.sign(model, thread)
        parts: list[Row] = [
            ((state.style, f" {state.sign} {state.word}"),),
            (("base", words.plural(thread.count, "message")),),
            (("dim", ", ".join(thread.participants[:6])),) if thread.participants else (),
            (("dim", thread.id),),
        ]
        rows.append(joined(parts, _DOT))
    return [*rows, ()] if height >= 9 else rows


def text(model: Model, page: Page, columns: int) -> list[Row]:
    """Every message, every row of it."""
    said = model.talk.spoken.get(page.id)
    if said is None:
        return missing(model, page, columns)
    if not said:
        return told("Nothing has been said yet. m writes the first message.", columns)
    laid = _laid(model, page, columns)
    rows = list(laid.rows)
    if page.at in laid.places:
        place, start = laid.places[page.at]
        block = _block(place, *_around(model, place.said), True, page.ref, columns)
        rows[start : start + len(block)] = block
    return rows


def missing(model: Model, page: Page, columns: int) -> list[Row]:
    """What stands in the place of messages that are not there."""
    if "thread" in page.faults:
        return told(f"▲ {page.faults['thread']}", columns, "warn")
    if model.me.guest and model.link.state == "online":
        return told(f"▲ reading a thread needs a person's grant. {model.me.mend}", columns, "warn")
    return told("reading…" if model.link.state == "online" else "Not seen before bzzzd went away.", columns)


class Laid(Struct, frozen=True):
    """A conversation as rows, and where each message begins in them."""

    rows: tuple[Row, ...]
    places: Mapping[str, tuple[Placed, int]]


class _Same:
    """A value that equals only itself: what was laid for it is found without looking at a thousand messages."""

    __slots__ = ("said",)

    def __init__(self, said: tuple[Said, ...]) -> None:
        self.said = said

    def __hash__(self) -> int:
        return id(self.said)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.said is self.said


def _laid(model: Model, page: Page, columns: int) -> Laid:
    day = int((model.now + model.utc_offset) // 86400)
    return _lay(_Same(model.talk.spoken.get(page.id, ())), columns, day, model.utc_offset, model.me.id, model.me.role)


@lru_cache(maxsize=4)
def _lay(same: _Same, columns: int, day: int, offset: int, me: str, role: str) -> Laid:
    found: list[Row] = []
    places: dict[str, tuple[Placed, int]] = {}
    now = day * 86400.0 - offset
    for place in placed(same.said):
        places[place.said.id] = (place, len(found))
        found += _block(place, *_told_of(place.said, now, offset, me, role), False, -1, columns)
    return Laid(tuple(found), places)


def _around(model: Model, one: Said) -> tuple[str, str, bool]:
    return _told_of(one, model.now, model.utc_offset, model.me.id, model.me.role)


def _told_of(one: Said, now: float, offset: int, me: str, role: str) -> tuple[str, str, bool]:
    """When it was said, when its window ends, and whether it names the person."""
    ends = words.clock(one.window_ends, now, offset) if one.window_ends else ""
    return words.clock(one.at, now, offset), ends, calls(one, me, role)


def order(model: Model, page: Page, columns: int) -> tuple[str, ...]:
    """The messages in the order in which they are read."""
    return tuple(_laid(model, page, columns).places)


def place_of(model: Model, page: Page, columns: int, id: str) -> tuple[int, int]:
    """The first row of a message, and the one behind its last; (0, 0) when it is not here."""
    laid = _laid(model, page, columns)
    if id not in laid.places:
        return 0, 0
    place, start = laid.places[id]
    return start, start + len(_block(place, *_around(model, place.said), False, -1, columns))


@lru_cache(maxsize=2048)
def _block(place: Placed, when: str, ends: str, mine: bool, chosen: bool, ref: int, columns: int) -> tuple[Row, ...]:
    one = place.said
    depth = min(place.depth, _DEEPEST, max(0, (columns - 40) // (2 * _INDENT)))
    lead = " " * (depth * _INDENT)
    mark: Segment = ("accent", "▌") if chosen else ("base", " ")
    room = max(8, columns - len(lead) - 4)
    who, standing = _who(one, when, mine, place.depth), _standing(one, ends)
    whole = joined([who, (standing,) if standing[1] else ()], _DOT)
    fits = len(lead) + 1 + row_width(whole) <= columns
    found: list[Row] = [(mark, ("base", lead), *(whole if fits else who))]
    for shade, note in (*(() if fits else (standing,)), *_notes(one)):
        found += [(mark, ("base", f"{lead}  "), (shade, part)) for part in wrap(note, room)]
    style = "dim" if one.aside else "base"
    if not one.readable:
        found.append((mark, ("base", f"{lead}  "), ("dim", "(only its readers can decrypt this)")))
    elif one.text:
        found += [(mark, ("base", f"{lead}  "), *part) for part in block(one.text, room, style)]
    for number, name in enumerate(one.refs):
        signed = "→ " if number == ref else "  "
        for line, part in enumerate(wrap(name, max(8, room - 4))):
            start = f"{lead}  {signed if line == 0 else '  '}"
            found.append((mark, ("accent", start), ("info", part)))
    return (*found, ())


def _standing(one: Said, ends: str) -> Segment:
    """What became of a proposal, or until when it may be objected to."""
    style, standing = _STANDING.get(one.standing, ("", ""))
    return style, f"{standing} until {ends}" if one.standing == "running" and ends else standing


def _who(one: Said, when: str, mine: bool, depth: int) -> Row:
    kind = one.by_kind if one.by_kind in ("person", "agent", "node") else ""
    role = " ".join(part for part in (kind, one.by_role) if part)
    parts: list[Row] = [
        ((_KINDS.get(one.kind, "base"), f"{'└ ' if depth else ''}{one.kind}"),),
        (("strong", one.by), ("dim", f" ({role})" if role else "")),
        (("dim", when),),
        (("warn", "for me"),) if mine else (),
    ]
    return joined(parts, _DOT)


def _notes(one: Said) -> tuple[Segment, ...]:
    """What is to be known of a message beside its text: whom it calls, why, and why it has no effect."""
    notes: tuple[Segment, ...] = (
        ("dim", f"to {', '.join(one.to)}" if one.to else ""),
        ("warn", f"because {one.reason}" if one.reason else ""),
        ("warn", f"without effect: {_ASIDE.get(one.aside, one.aside)}" if one.aside else ""),
    )
    return tuple(note for note in notes if note[1])


def plain(model: Model, said: Sequence[Said]) -> list[str]:
    """The conversation in words, a line a message and its text below it."""
    found: list[str] = []
    for place in placed(tuple(said)):
        one = place.said
        lead = "  " * min(place.depth, _DEEPEST)
        reply = " in reply" if place.depth else ""
        when = words.clock(one.at, model.now, model.utc_offset)
        ends = words.clock(one.window_ends, model.now, model.utc_offset) if one.window_ends else ""
        standing = f", {_standing(one, ends)[1]}" if one.standing in _STANDING else ""
        aside = f", without effect: {_ASIDE.get(one.aside, one.aside)}" if one.aside else ""
        to = f", to {', '.join(one.to)}" if one.to else ""
        reason = f", because {one.reason}" if one.reason else ""
        found.append(f"{lead}{one.kind}{reply} by {one.by}, {when}{to}{reason}{standing}{aside} ({one.id})")
        text = one.text if one.readable else "only its readers can decrypt this"
        found += [f"{lead}  {line}" for line in text.split("\n") if line]
        found += [f"{lead}  refers to {name}" for name in one.refs]
    return found
