"""A storm over prompts, small enough for every run; ``scripts/bench_parts/prompts.py`` has the whole of it."""

from __future__ import annotations

import sys

import pytest

from tests.integration.conftest import ROOT, Program, nodes_in
from tests.integration.storm import storm
from tests.integration.test_mesh_tasks import mesh_of

COUNT = 40


def test_forty_prompts_under_kills_are_each_done_once_at_most_and_none_is_lost(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("storm")
    with nodes_in(folder) as make:
        one, two = mesh_of(make, 2)
        config = two.write_agent("stormy", agent={"slots": 8})
        witness = folder / "witness"
        argv = [sys.executable, "-m", "tests.integration.storm", str(config), str(witness), "0.1"]

        def agent() -> Program:
            program = Program(argv, two.folder / "stormy.log", {**two.env, "PYTHONPATH": str(ROOT)}, cwd=str(ROOT))
            two.programs.append(program)
            return program

        found = storm(one, two, agent, witness, count=COUNT, at_once=8, every_s=2.0, limit_s=90, least_kills=6)
    assert found.faults == [], (found.states, found.kills)
    assert found.asked >= COUNT
    assert found.kills.keys() >= {"portal", "agent", "n1", "n2"}
    assert found.states["executed"] > COUNT / 4
