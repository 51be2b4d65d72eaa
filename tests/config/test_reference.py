"""docs/configuration.md says what the schema says."""

import subprocess
import sys
from pathlib import Path

from bzzzd.config.reference import reference
from bzzzd.config.schema import Config

ROOT = Path(__file__).parents[2]


def test_the_page_is_as_generated():
    assert (ROOT / "docs/configuration.md").read_text("utf-8") == reference(), "run scripts/docs"


def test_every_key_has_a_meaning():
    rows = [line for line in reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert all(row.rstrip(" |").rsplit("| ", 1)[1].strip() for row in rows)
    for name in Config.__struct_fields__:
        assert f"`{name}`" in reference()


def test_importing_the_loader_stays_light():
    heavy = "asyncio aiohttp structlog cryptography uvloop libp2p trio prometheus_client pyrage"
    code = f"import sys, bzzzd.config.load; print([m for m in {heavy.split()} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
