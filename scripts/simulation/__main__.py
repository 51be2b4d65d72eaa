"""Live through starts, losses, churn, a partition, a revocation and repairs with many nodes, and print the figures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from simulation.mesh import Mesh, wall_s
from simulation.placing import repairs
from simulation.world import World

SENDERS: Final = 10
MESSAGES: Final = 20
LIMIT_S: Final = 300.0

Figure = dict[str, Any]


def live(count: int, seed: int) -> Iterator[Figure]:
    """Every chapter, as it ends; one that does not converge has ``seconds`` ``None``."""
    mesh = Mesh(World(seed), count)
    yield starting(mesh)
    yield talking(mesh, "messages, 1 of 100 frames lost")
    yield churning(mesh)
    yield parting(mesh)
    yield policy(mesh)
    yield revoking(mesh)
    yield placing(mesh)


def _chapter(mesh: Mesh, name: str, seconds: float | None, before: dict[str, int], began: float, **more: Any) -> Figure:
    counts = mesh.world.counts - type(mesh.world.counts)(before)
    return {"chapter": name, "seconds": seconds, **more, "counts": dict(counts), "wall_s": round(wall_s() - began, 1)}


def starting(mesh: Mesh) -> Figure:
    """All start within 10 s, knowing three nodes; until all know all and gossip reaches everybody."""
    before, began = dict(mesh.world.counts), wall_s()
    mesh.start_all(10.0)
    mesh.world.run_for(10.0)
    took = mesh.world.run_until(lambda: mesh.all_know_all() and mesh.in_one_piece(), LIMIT_S)
    connections = sum(len(node.connected) for node in mesh.nodes) / len(mesh.nodes)
    return _chapter(mesh, "start", took, before, began, connections=round(connections, 1))


def _talk(mesh: Mesh, over_s: float) -> None:
    """Some nodes publish some messages each, spread over a time."""
    for index in mesh.world.chance.sample(range(3, len(mesh.nodes)), min(SENDERS, len(mesh.nodes) - 3)):
        for number in range(MESSAGES):
            mesh.world.at(over_s * (number + mesh.world.chance.random()) / MESSAGES, _say, mesh, index)


def _say(mesh: Mesh, index: int) -> None:
    if mesh.nodes[index].up:
        mesh.nodes[index].publish()


def talking(mesh: Mesh, name: str) -> Figure:
    before, began = dict(mesh.world.counts), wall_s()
    _talk(mesh, 10.0)
    mesh.world.run_for(10.0)
    return _chapter(mesh, name, mesh.world.run_until(mesh.all_heard_all, LIMIT_S), before, began)


def churning(mesh: Mesh) -> Figure:
    """While others talk for 20 s, a tenth of the nodes is killed and returns after 5 to 15 s."""
    before, began = dict(mesh.world.counts), wall_s()
    chance = mesh.world.chance
    for node in chance.sample(mesh.nodes[3:], len(mesh.nodes) // 10):
        gone_at = chance.uniform(0, 10)
        mesh.world.at(gone_at, node.stop)
        mesh.world.at(gone_at + chance.uniform(5, 15), node.start)
    _talk(mesh, 20.0)
    mesh.world.run_for(26.0)
    return _chapter(mesh, "a tenth killed and back", mesh.world.run_until(mesh.all_heard_all, LIMIT_S), before, began)


def parting(mesh: Mesh) -> Figure:
    """Four tenths are parted for 30 s while all talk; from the merge until all have heard all."""
    before, began = dict(mesh.world.counts), wall_s()
    mesh.split(0.4)
    _talk(mesh, 20.0)
    mesh.world.run_for(30.0)
    mesh.merge()
    took = mesh.world.run_until(lambda: mesh.all_heard_all() and mesh.in_one_piece(), LIMIT_S)
    return _chapter(mesh, "parted for 30 s, from the merge", took, before, began)


def policy(mesh: Mesh) -> Figure:
    before, began = dict(mesh.world.counts), wall_s()
    mesh.nodes[-1].learn(mesh.document("policy", 1), spread=True)
    took = mesh.world.run_until(lambda: mesh.all_hold("policy", 1), LIMIT_S)
    return _chapter(mesh, "a policy in force everywhere", took, before, began)


def revoking(mesh: Mesh) -> Figure:
    """A hundredth is revoked; until every other node refuses them and none is connected to one."""
    before, began = dict(mesh.world.counts), wall_s()
    gone = mesh.nodes[-max(1, len(mesh.nodes) // 100) :]
    rest = mesh.nodes[: -len(gone)]
    mesh.nodes[0].learn(mesh.revocation(1, gone), spread=True)

    def done() -> bool:
        named = {node.index for node in gone}
        return mesh.all_hold("revocations", 1, rest) and not any(node.connected & named for node in rest)

    return _chapter(mesh, "a revocation in force everywhere", mesh.world.run_until(done, LIMIT_S), before, began)


def placing(mesh: Mesh) -> Figure:
    began = wall_s()
    found = repairs([node.key for node in mesh.nodes], mesh.world.chance)
    return {"chapter": "a tenth of the holders gone for good", "seconds": 0.0, **found, "counts": {},
            "wall_s": round(wall_s() - began, 1)}  # fmt: skip


def _line(figure: Figure, count: int) -> str:
    took = "does not converge" if figure["seconds"] is None else f"{figure['seconds']:6.2f} s"
    each = ", ".join(f"{value / count:,.1f} {name}" for name, value in figure["counts"].items())
    more = ", ".join(f"{name} {value}" for name, value in figure.items() if name not in _COMMON)
    return f"{figure['chapter']:36} {took:>10}   {'; '.join(filter(None, (more, each and f'per node: {each}')))}"


_COMMON: Final = {"chapter", "seconds", "counts", "wall_s"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/simulate", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.nodes < 10:
        parser.error("a mesh of fewer than 10 nodes is no subject for this; run real ones")
    if not given.json:
        print(f"{given.nodes} nodes, seed {given.seed}; seconds are virtual", flush=True)
    figures = []
    for figure in live(given.nodes, given.seed):  # minutes, when they are many
        figures.append(figure)
        if not given.json:
            print(_line(figure, given.nodes), flush=True)
    if given.json:
        print(json.dumps({"nodes": given.nodes, "seed": given.seed, "chapters": figures}, indent=1))
    else:
        print(f"simulated in {sum(figure['wall_s'] for figure in figures):.0f} s")
    return 0 if all(figure["seconds"] is not None for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
