"""A folder of configuration files, and surroundings that do not depend on the machine."""

from pathlib import Path

import pytest

from bzzzd.config.settings import Surroundings


@pytest.fixture
def around(tmp_path):
    return Surroundings(environ={}, host="atlas", user="alice", home=tmp_path / "home")


@pytest.fixture
def put(tmp_path):
    """Write a file of the folder; sections not given are present and empty."""

    def write(name: str, **sections: str) -> Path:
        text = {"agent": "{}", "ai": "{}", "network": "{}", "security": "{}", **sections}
        path = tmp_path / name
        path.write_text("".join(f"{key}: {value}\n" for key, value in text.items()))
        return path

    return write
