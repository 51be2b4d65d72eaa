from pathlib import Path

from bzzzd.daemon.reference import listed, page
from bzzzd.rpc.access import Access

DOCS = Path(__file__).parents[2] / "docs"


def test_every_method_has_an_access_rule_and_a_sentence() -> None:
    registry, streams = listed()
    assert all(isinstance(method.access, Access) for method in registry)
    assert [method.name for method in registry if not method.doc] == []
    assert all(isinstance(kind.access, Access) for kind in streams)


def test_the_reference_page_is_what_the_registry_says() -> None:
    assert (DOCS / "rpc.md").read_text("utf-8") == page(), "run: .venv/bin/python scripts/docs"
