"""What a filter means: words that stand anywhere in a row, and terms like ``state:working`` about one of its fields.

    backup state:failed -agent:worker-1 mine

Every part must hold; a ``-`` in front turns a part around. ``mine`` are the tasks of whoever looks, ``open`` those
that have not ended. A term's value is the beginning of the field's. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

FIELDS: Mapping[str, tuple[str, ...]] = {
    "tasks": ("state", "project", "agent", "role", "author", "capability"),
    "threads": ("state", "task"),
    "agents": ("role", "node"),
    "peers": ("role", "how"),
    "events": ("source", "kind", "level"),
    "logs": ("level",),
}
"""The fields that a term may name, by view."""
PRESETS = ("", "mine", "open", "mine open", "state:working", "state:input_required", "state:failed")
"""What one key steps through in the list of tasks."""
_ENDED = ("completed", "failed", "canceled", "rejected")


def meant(view: str, filter: str, me: str) -> str:
    """The filter with what depends on who looks written out."""
    if view != "tasks" or not me:
        return filter
    parts = [{"mine": f"author:{me}", "-mine": f"-author:{me}"}.get(part, part) for part in filter.casefold().split()]
    return " ".join(parts)


def holds(view: str, row: object, text: str, filter: str) -> bool:
    """Whether the row, in which ``text`` (folded) stands, passes the filter."""
    for part in filter.casefold().split():
        turned = part.startswith("-") and len(part) > 1
        if _part(view, row, text, part[1:] if turned else part) == turned:
            return False
    return True


def _part(view: str, row: object, text: str, part: str) -> bool:
    name, colon, value = part.partition(":")
    if colon and name in FIELDS.get(view, ()):
        return str(getattr(row, name, "")).casefold().startswith(value)
    if part == "open" and view == "tasks":
        return getattr(row, "state", "") not in _ENDED
    return part in text


def following(filter: str) -> str:
    """The preset after this filter; the first one after a filter that is none."""
    return PRESETS[(PRESETS.index(filter) + 1) % len(PRESETS)] if filter in PRESETS else PRESETS[0]
