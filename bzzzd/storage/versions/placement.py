"""Which nodes hold an address, what they owe each other, and what may go: rules over values.

Every node ranks the nodes for an address by a hash of both (rendezvous hashing), so all of them find the
same holders without asking; a node that comes or goes moves only the addresses that it is ranked high for.
All versions of an address and their content are at the same holders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence, Set

from msgspec import Struct


def ranked(address: str, nodes: Iterable[bytes]) -> list[bytes]:
    """``nodes`` (keys), those first that shall hold the base ``address``."""
    name = hashlib.sha256(address.encode()).digest()
    return sorted(nodes, key=lambda node: hashlib.sha256(name + node).digest())


def holders(address: str, nodes: Iterable[bytes], replicas: int) -> tuple[bytes, ...]:
    """The nodes that shall hold ``address``: ``replicas`` of them, or as many as there are."""
    return tuple(ranked(address, nodes)[:replicas])


def present(seen: Mapping[bytes, float], connected: Set[bytes], now: float, away_s: float) -> frozenset[bytes]:
    """Which member nodes count: those that are connected, or were seen within ``away_s`` seconds.

    ``seen`` has every node that is a member now, with the Unix time at which it was last seen; one that was
    revoked is not among them, and so counts no more at once.
    """
    return frozenset(node for node, at in seen.items() if node in connected or now - at <= away_s)


def owed_to(own: bytes, targets: Sequence[bytes], known: Collection[bytes]) -> tuple[bytes, ...]:
    """To whom a holder (key ``own``) owes a version: the ``targets`` that no copy is on the books for."""
    return tuple(node for node in targets if node != own and node not in known)


def substitute(order: Sequence[bytes], refused: bytes, known: Collection[bytes]) -> bytes | None:
    """Who takes what ``refused`` cannot: the next in ``order`` that no copy is on the books for."""
    return next((node for node in order if node != refused and node not in known), None)


def may_drop(own: bytes, targets: Sequence[bytes], verified: Set[bytes], replicas: int) -> bool:
    """Whether a holder may drop its copy: it is none of the ``targets``, and they all have theirs.

    ``verified`` are the nodes that said just now that they have it. Where there are fewer targets than
    ``replicas``, every copy counts and none goes.
    """
    return own not in targets and len(targets) >= replicas and set(targets) <= verified


class Kept(Struct, frozen=True):
    """What retention has to know of a version: its number, when it was written, whether it is a head."""

    number: int
    at: float
    head: bool


def over_retention(versions: Sequence[Kept], now: float, keep_versions: int, keep_s: float) -> list[int]:
    """The numbers of the versions whose content may go by the retention rule, oldest first.

    A version goes when there are ``keep_versions`` newer ones and it is over ``keep_s`` seconds old; 0 turns
    either condition off, and both off keep everything. Heads stay.
    """
    if not keep_versions and not keep_s:
        return []
    ordered = sorted(versions, key=lambda version: version.number)
    spare = ordered[: max(0, len(ordered) - keep_versions)] if keep_versions else ordered
    return [version.number for version in spare if not version.head and (not keep_s or now - version.at > keep_s)]
