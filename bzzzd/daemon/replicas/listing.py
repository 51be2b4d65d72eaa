"""One list of addresses out of what this node and the others list."""

from __future__ import annotations

from collections.abc import Iterable

from bzzzd.daemon.replicas.service import Replicas
from bzzzd.errors import BzzzError
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.questions import Entry
from bzzzd.storage.versions.rows import Listed, Listing
from bzzzd.ucxl.address import Address, matches, parse


async def unite_lists(
    own: Listing, replicas: Replicas, pattern: str | None, *, after: str, limit: int
) -> tuple[list[Listed], str | None, bool]:
    """Entries behind ``after``, the name to continue behind (None at the end), and whether all nodes were asked."""
    entries, complete, until = await replicas.browse(pattern or "", after, limit)
    wanted = parse(pattern) if pattern else None
    found = {entry.address: entry for entry in own.entries}
    for listed in _checked(entries, replicas, wanted, after):
        held = found.get(listed.address)
        if held is None or _rank(listed) > _rank(held):
            found[listed.address] = listed
    ends = [end for end in (own.next, until) if end is not None]
    ordered = sorted((entry for entry in found.values() if not ends or entry.address <= min(ends)), key=_address)
    page = ordered[:limit]
    going_on = bool(ends) or len(ordered) > limit
    return page, (page[-1].address if len(ordered) > limit else min(ends)) if going_on else None, complete


def _address(entry: Listed) -> str:
    return entry.address


def _rank(entry: Listed) -> tuple[int, float, str]:
    """Whoever knows more versions of an address says what its latest one is."""
    return entry.versions, entry.header.at, entry.latest


def _checked(entries: Iterable[Entry], replicas: Replicas, wanted: Address | None, after: str) -> Iterable[Listed]:
    """What other nodes listed, each latest version once and only if its writer may have written it."""
    seen: set[tuple[int, int, bytes]] = set()
    for entry in entries:
        place = entry.versions, entry.heads, entry.latest.header
        if place in seen:
            continue
        seen.add(place)
        listed = _listed(entry, entry.latest, replicas)
        if listed is None or listed.address <= after:
            continue
        if wanted is None or matches(wanted, parse(listed.address)):
            yield listed


def _listed(entry: Entry, latest: Carried, replicas: Replicas) -> Listed | None:
    try:
        pending = replicas.contexts.inspect(latest)
    except BzzzError:
        return None
    return Listed(pending.header.address, entry.versions, entry.heads, pending.id, pending.header)
