"""What the placement of content does when holders go for good: who owes whom a copy, by ``storage.placement``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from bzzzd.storage.versions.placement import holders, owed_to

ADDRESSES: Final = 300
REPLICAS: Final = 3


def repairs(nodes: Sequence[bytes], chance: random.Random) -> dict[str, Any]:
    """Place addresses, take a tenth of the nodes away, and repair by rounds until nobody owes anything.

    Gives the addresses that lost every holder, the copies that were made, and the rounds that it took.
    """
    names = [f"ucxl://a:r@p:t{number}/*^/x" for number in range(ADDRESSES)]
    copies = {name: set(holders(name, nodes, REPLICAS)) for name in names}
    gone = set(chance.sample(list(nodes), len(nodes) // 10))
    left = [node for node in nodes if node not in gone]
    for held in copies.values():
        held -= gone
    lost = sum(not held for held in copies.values())
    made = rounds = 0
    targets = {name: holders(name, left, REPLICAS) for name in names}
    while any(set(targets[name]) - held for name, held in copies.items() if held):
        rounds += 1
        for name, held in copies.items():
            # Every holder works by the same books, so one of them is enough here.
            for node in owed_to(min(held), targets[name], held) if held else ():
                held.add(node)
                made += 1
    return {"addresses": ADDRESSES, "lost": lost, "copies made": made, "rounds": rounds}
