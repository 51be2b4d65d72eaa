"""The client's end of a subscription: bounded, and nothing lost in silence."""

from __future__ import annotations

from typing import Any

import pytest

from bzzzd.errors import MalformedFrame, NotFound
from bzzzd.rpc.client_core import ClientCore, Hello
from bzzzd.rpc.follower import Follower, Items, Snapshot


def batch(*items: Any, last: int) -> dict[str, Any]:
    return {"subscription": 1, "cursor": ["life", last], "items": list(items)}


def opened(follower: Follower, last: int = 0, *, reset: bool = False, **more: Any) -> Follower:
    follower.opened({"subscription": 1, "cursor": ["life", last], "reset": reset, **more})
    return follower


def test_it_begins_with_a_snapshot_and_goes_on_with_items() -> None:
    follower = Follower("tasks", filter={"project": "p"})
    assert follower.wanted
    assert follower.params() == {"stream": "tasks", "filter": {"project": "p"}}
    opened(follower, 4, snapshot={"tasks": []})
    assert follower.arrived(batch("a", "b", last=6))
    assert follower.take() == Snapshot({"tasks": []}, False, ("life", 4))
    assert follower.take() == Items(["a", "b"], ("life", 6))
    assert follower.take() is None


def test_after_a_loss_it_asks_for_what_follows_and_no_snapshot_comes() -> None:
    follower = opened(Follower("tasks"))
    follower.arrived(batch("a", last=1))
    follower.lost()
    assert not follower.wanted  # first what is held
    follower.take(), follower.take()
    assert follower.wanted
    assert follower.params()["cursor"] == ("life", 1)
    opened(follower, 1)
    assert follower.take() is None
    follower.lost()
    opened(follower, 9, reset=True, snapshot="s")
    assert follower.take() == Snapshot("s", True, ("life", 9))


def test_what_does_not_fit_is_dropped_and_asked_for_again() -> None:
    core, follower = ClientCore("test"), Follower("tasks", keep=3)
    core.opened(follower, {"subscription": 1, "cursor": ["life", 0], "reset": False})
    for last in (2, 4, 6):
        _, reply = core.notified("stream.items", [batch(last - 1, last, last=last)])
    assert reply  # the subscription is ended, and comes back when there is room
    assert follower.cursor == ("life", 2)
    assert not follower.wanted
    follower.take(), follower.take()
    assert follower.wanted
    assert follower.params()["cursor"] == ("life", 2)


def test_a_batch_larger_than_its_room_is_taken_when_nothing_is_held() -> None:
    follower = opened(Follower("tasks", keep=2))
    assert follower.arrived(batch(1, 2, 3, last=3))
    assert not follower.arrived(batch(4, last=4))


def test_being_told_of_a_gap_gives_a_snapshot_that_says_so() -> None:
    follower = opened(Follower("tasks"))
    follower.take()
    assert follower.behind({"subscription": 1, "cursor": ["life", 70], "snapshot": "s"})
    assert follower.take() == Snapshot("s", True, ("life", 70))


def test_an_error_comes_after_what_is_held() -> None:
    follower = opened(Follower("tasks"))
    follower.fail(NotFound("gone"))
    assert isinstance(follower.take(), Snapshot)
    with pytest.raises(NotFound):
        follower.take()
    assert not follower.wanted


def test_nonsense_from_the_server_is_an_error_of_the_connection() -> None:
    core, follower = ClientCore("test"), Follower("tasks")
    with pytest.raises(MalformedFrame):
        core.opened(follower, {"subscription": None})
    core.opened(follower, {"subscription": 1, "cursor": ["life", 0], "reset": False})
    with pytest.raises(MalformedFrame):
        core.notified("stream.items", [{"subscription": 1}])
    assert core.notified("stream.items", [batch(1, last=1) | {"subscription": 9}])[0] is None
    assert core.notified("something.else", [{}]) == (None, b"")


def test_what_hello_tells() -> None:
    core = ClientCore("test")
    told = {"api": 1, "nonce": b"n", "extensions": ["task"], "mesh_id": None, "build": "b", "phase": "mesh"}
    assert core.greeted(told) == Hello(1, ("task",), "b", "", "", "mesh", b"n", told)
    core.notified("error", [{"code": "OVERLOADED", "message": "full", "data": {}}])
    assert core.refusal is not None
    assert core.refusal.code == "OVERLOADED"
