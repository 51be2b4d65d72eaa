"""The stream of events begins with what happened before, and every item says when."""

from __future__ import annotations

from bzzzd.daemon.happenings import Happenings


def test_an_item_without_a_time_gets_one_and_another_keeps_its_own() -> None:
    stream = Happenings("one", lambda: 7.0, keep=16)
    stream.append({"kind": "damaged"})
    stream.append({"kind": "joined", "at": 3.0})
    assert [item["at"] for item in stream.newest()["events"]] == [7.0, 3.0]


def test_a_subscriber_begins_with_the_newest_two_hundred() -> None:
    stream = Happenings("one", lambda: 7.0, keep=1000)
    for number in range(500):
        stream.append({"kind": "joined", "number": number})
    snapshot = stream.feed().snapshot
    assert snapshot is not None
    found = snapshot()["events"]
    assert [found[0]["number"], found[-1]["number"], len(found)] == [300, 499, 200]
