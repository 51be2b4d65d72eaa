"""Events: the newest first, none twice, never more than fit."""

from __future__ import annotations

from bzzzd.hap.values import chronicle
from bzzzd.hap.values.chronicle import Event


def event(at: float, text: str = "node-2 joined the mesh") -> Event:
    return Event("", at, "mesh", "joined", text)


def test_the_newest_is_the_first_and_each_has_its_own_id() -> None:
    found = chronicle.told(chronicle.told((), (event(1), event(2))), (event(3),))
    assert [row.at for row in found] == [3, 2, 1]
    assert [row.id for row in found] == ["3", "2", "1"]


def test_what_a_stream_repeats_is_told_once() -> None:
    found = chronicle.told((), (event(1), event(2)))
    assert chronicle.told(found, (event(1), event(2))) is found
    assert len(chronicle.told(found, (event(2), event(2, "node-3 joined the mesh")))) == 3


def test_a_flood_leaves_the_newest() -> None:
    found = chronicle.told((), (event(float(number)) for number in range(2000)))
    assert (len(found), found[0].at, found[0].id) == (chronicle.MOST, 1999.0, "2000")
