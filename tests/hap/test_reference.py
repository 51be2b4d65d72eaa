from __future__ import annotations

from pathlib import Path

from bzzzd.hap.reference import reference

PAGE = Path(__file__).parents[2] / "docs" / "portal.md"


def test_the_page_in_the_documentation_is_what_the_registry_says_now() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "write it anew from bzzzd.hap.reference"
