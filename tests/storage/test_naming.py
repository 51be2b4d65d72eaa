from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.errors import InvalidEnvelope
from bzzzd.storage.versions.naming import CHUNK_BYTES, Naming, chunk_span, chunks_of, name_of, name_of_list


@given(st.integers(0, 3 * CHUNK_BYTES + 1), st.lists(st.integers(1, CHUNK_BYTES), max_size=8))
def test_a_name_does_not_depend_on_the_pieces_that_content_came_in(size, cuts):
    data = bytes(size)
    naming, at = Naming(), 0
    for cut in cuts:
        naming.update(data[at : at + cut])
        at = min(at + cut, size)
    naming.update(data[at:])
    assert naming.size == size
    assert naming.name() == name_of(data)
    assert name_of_list(size, naming.list()) == name_of(data)
    spans = [chunk_span(size, index) for index in range(chunks_of(size))]
    assert [hashlib.sha256(data[start : start + length]).digest() for start, length in spans] == naming.list()


def test_small_content_has_its_hash_as_its_name_and_a_changed_chunk_changes_it():
    assert name_of(b"x") == hashlib.sha256(b"x").digest()
    data = bytearray(2 * CHUNK_BYTES)
    before = name_of(bytes(data))
    data[CHUNK_BYTES + 5] = 1
    assert name_of(bytes(data)) != before


def test_a_list_that_does_not_fit_its_size_is_refused():
    with pytest.raises(InvalidEnvelope, match="2 chunks"):
        name_of_list(CHUNK_BYTES + 1, [bytes(32)])
