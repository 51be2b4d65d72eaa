"""Five nodes started at once become one mesh; how fast is measured by the benchmark's part, whose code this is."""

import runpy
from pathlib import Path

PART = Path(__file__).parents[2] / "scripts" / "bench_parts" / "mesh_start.py"


def test_five_nodes_join_each_other_and_each_hears_each() -> None:
    joined, heard = runpy.run_path(str(PART))["measure"](5)
    assert 0 < joined <= heard < 60
