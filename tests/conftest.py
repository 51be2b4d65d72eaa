"""What all tests share: the option that asks for booted machines."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--appliance", action="store_true", help="also boot Debian machines with the package on them")
