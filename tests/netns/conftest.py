"""A network of namespaces for a test, or the reason why there is none."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.netns.kit import Network, missing


@pytest.fixture
def network() -> Iterator[Network]:
    if why := missing():
        pytest.skip(why)
    with Network() as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.integration)
