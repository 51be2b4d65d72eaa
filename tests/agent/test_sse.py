import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.agent.providers.sse import EventReader
from bzzzd.errors import ModelFailed


def test_events_come_whole_whatever_the_line_ends_and_fields() -> None:
    raw = b": ping\n\ndata: one\n\nevent: x\ndata:two\r\ndata: three\r\n\r\nid: 5\r\rdata: four\r\r\n"
    assert EventReader().feed(raw) == [b"one", b"two\nthree", b"four"]


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_it_does_not_matter_how_the_bytes_are_cut(texts: list[bytes], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    raw = b"".join(b"data: " + text + end + end for text in texts)
    reader, found, at = EventReader(), [], 0
    while at < len(raw):
        size = data.draw(st.integers(1, 7))
        found += reader.feed(raw[at : at + size])
        at += size
    assert found == texts


def test_a_line_without_end_costs_no_memory() -> None:
    reader = EventReader(limit=1000)
    with pytest.raises(ModelFailed):
        for _ in range(100):
            reader.feed(b"x" * 100)


def test_an_event_without_end_costs_no_memory() -> None:
    reader = EventReader(limit=1000)
    with pytest.raises(ModelFailed):
        for _ in range(100):
            reader.feed(b"data: " + b"x" * 50 + b"\n")
