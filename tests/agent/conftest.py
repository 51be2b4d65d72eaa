from collections.abc import AsyncIterator

import pytest

from tests.agent.model_endpoint import ModelEndpoint, served


@pytest.fixture
async def endpoint() -> AsyncIterator[ModelEndpoint]:
    async with served() as found:
        yield found
