"""The page on troubleshooting has every error code, with the exit status that it really has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bzzzd.errors import BzzzError
from bzzzd.slurp import refusals

TREE = ("bzzzd.errors", refusals.__name__)
PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"


def every(kind: type[BzzzError]) -> Iterator[type[BzzzError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from every(child)


def test_every_code_is_explained_with_its_exit_status() -> None:
    rows = re.findall(r"(?m)^\| (`[A-Z][^|]*`) \| (\d) \|", PAGE.read_text())
    explained = {code: int(status) for codes, status in rows for code in re.findall(r"`([A-Z0-9_]+)`", codes)}
    known = {kind.code: kind.exit_status for kind in every(BzzzError) if kind.__module__ in TREE}
    assert explained == known
