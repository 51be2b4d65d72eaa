from __future__ import annotations

from bzzzd.storage.versions.plaintexts import Plaintexts

READERS = frozenset({"worker"})


def test_the_least_recently_used_goes_first():
    held = Plaintexts(40)
    for name in "abcd":
        held.put(name, bytes(10), READERS)
    assert held.get("a") is not None
    held.put("e", bytes(10), READERS)
    assert held.get("b") is None
    assert held.get("a") is not None
    assert held.bytes == 40
    assert len(held) == 4


def test_what_is_too_large_for_its_share_is_not_kept():
    held = Plaintexts(40)
    held.put("big", bytes(11), READERS)
    assert held.get("big") is None


def test_the_same_version_counts_once():
    held = Plaintexts(40)
    held.put("a", bytes(10), READERS)
    held.put("a", bytes(10), READERS)
    assert held.bytes == 10


def test_a_limit_of_nothing_keeps_nothing():
    held = Plaintexts(0)
    held.put("a", b"x", READERS)
    assert held.get("a") is None
