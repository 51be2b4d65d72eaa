"""A small simulated mesh lives through everything and converges; the same seed gives the same life."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from simulation.__main__ import live
from simulation.mesh import Mesh
from simulation.world import World


def without_clock(figures: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in figure.items() if name != "wall_s"} for figure in figures]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_chapter_converges(seed: int) -> None:
    figures = list(live(30, seed))
    assert len(figures) == 7
    assert [figure["chapter"] for figure in figures if figure["seconds"] is None] == []
    for figure in figures:
        counts = figure["counts"]
        assert counts.get("given up", 0) == counts.get("out of order", 0) == counts.get("refused papers", 0) == 0


def test_a_seed_repeats_a_life_exactly() -> None:
    assert without_clock(live(12, 5)) == without_clock(live(12, 5))


def test_two_halves_that_stay_parted_do_not_converge() -> None:
    """The counter-proof: what is measured is not always true."""
    mesh = Mesh(World(1), 20)
    mesh.start_all(2.0)
    mesh.world.run_for(15.0)
    assert mesh.all_know_all()
    mesh.split(0.5)
    mesh.nodes[5].publish()
    assert mesh.world.run_until(mesh.all_heard_all, 60.0) is None
    mesh.merge()
    assert mesh.world.run_until(mesh.all_heard_all, 60.0) is not None


def test_without_catching_up_lost_frames_stay_lost() -> None:
    mesh = Mesh(World(1, loss=0.9), 20)
    mesh.start_all(2.0)
    mesh.world.run_for(15.0)
    for node in mesh.nodes:
        node.tell = lambda peer, ask: None  # type: ignore[method-assign]
    mesh.nodes[5].publish()
    assert mesh.world.run_until(mesh.all_heard_all, 30.0) is None
