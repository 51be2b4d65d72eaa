from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.ucxl.readable import text_of


def test_a_map_is_its_main_text_and_then_the_rest_by_name() -> None:
    assert text_of(b"\x82\xa4text\xa5Hello\xa3num\x03") == "Hello\n\nnum: 3"
    assert text_of({"steps": ["a", {"b": 1, "c": 2}]}) == "steps:\n  - a\n  - b: 1\n    c: 2"


@pytest.mark.parametrize("content", ["Über".encode(), b"\x81\x90\x01", b"\x81\x80\x01", b"\x91" * 3000, b"\xc1"])
def test_what_only_begins_like_messagepack_is_text(content: bytes) -> None:
    assert text_of(content) == content.decode("utf-8", "replace")


@given(st.binary(max_size=200))
def test_any_bytes_are_some_text(content: bytes) -> None:
    text_of(content)
    text_of(content, "application/msgpack")
