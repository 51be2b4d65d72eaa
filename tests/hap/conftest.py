"""Options and fixtures of the portal's tests."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--renew-goldens", action="store_true", help="write tests/hap/goldens anew from what the views show now"
    )
