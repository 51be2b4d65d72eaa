"""What all tests share: the option that asks for booted machines and containers, and the package they all use."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says how busy the machine is. What else a profile says of CI's stays.
settings.register_profile("bzzz", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bzzz")

ROOT = Path(__file__).parents[1]
BUILD_S = 1200.0
# The first test that asks for the package waits for its build.
APPLIANCE_S = 1800


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--appliance", action="store_true", help="also boot Debian machines and run containers with the package"
    )


@pytest.fixture(scope="session")
def debs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The packages by name: of the commit that is checked out, or those in the folder that BZZZ_DEBS names."""
    given = os.environ.get("BZZZ_DEBS")
    folder = Path(given) if given else tmp_path_factory.mktemp("debs")
    if not given:
        argv = [str(ROOT / "scripts" / "package"), "--output", str(folder)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=BUILD_S, check=False)
        assert done.returncode == 0, done.stderr
    return {path.name.partition("_")[0]: path for path in folder.glob("*.deb")}


@pytest.fixture(scope="session")
def deb(debs: dict[str, Path]) -> Path:
    return debs["bzzz"]
