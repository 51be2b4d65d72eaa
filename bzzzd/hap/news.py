"""What happens on the mesh, in a sentence for people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bzzzd.hap.text import clean


class News(NamedTuple):
    """``level`` is that of a notice: ok, info, warn or bad."""

    level: str
    text: str


# By kind of event: how it matters, and its sentence. Kinds without one are for programs.
_SENTENCES: Final[Mapping[str, tuple[str, str]]] = {
    "joined": ("info", "{who} joined the mesh"),
    "left": ("info", "{who} left the mesh{because}"),
    "refused": ("warn", "{who} was refused{because}"),
    "cut_off": ("warn", "{who} was cut off{because}"),
    "skew": ("warn", "{who}{because}"),
    "skew_ended": ("ok", "{who}{because}"),
    "join_requested": ("warn", "{who} {detail}"),
    "replicated": ("ok", "{versions} versions have all their copies"),
    "clone": ("bad", "{detail}"),
    "epoch": ("info", "{detail}"),
    "failed": ("bad", "the mesh has stopped{because}"),
}
_TAIL: Final = 8


def news(row: Mapping[str, Any]) -> News | None:
    """The sentence for an event of the daemon's stream, cleaned; ``None`` for one that has none."""
    level, sentence = _SENTENCES.get(str(row.get("kind")), ("", ""))
    if not sentence:
        return None
    detail = clean(row.get("detail"), 300)
    peer = clean(row.get("peer_id"), 64)
    who = clean(row.get("id") or row.get("node"), 64) or (f"node …{peer[-_TAIL:]}" if peer else "somebody")
    count = row.get("versions")
    text = sentence.format(
        who=who,
        detail=detail,
        because=f": {detail}" if detail else "",
        versions=count if isinstance(count, int) else "some",
    )
    return News(level, text.strip())
