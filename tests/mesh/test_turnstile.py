"""Tries to join are bounded per address, in all, and at once; wrong guesses slow down."""

from hypothesis import given
from hypothesis import strategies as st

from bzzzd.mesh.turnstile import Bucket, Turnstile


def through(turnstile: Turnstile, address: str, now: float) -> bool:
    if turnstile.enter(address, now):
        return False
    turnstile.leave(address)
    return True


@given(st.lists(st.floats(0.0, 3.0), max_size=200))
def test_a_bucket_gives_no_more_than_its_burst_and_its_rate(steps: list[float]) -> None:
    bucket, now, taken = Bucket(2.0, 5.0), 0.0, 0
    for step in steps:
        now += step
        taken += bucket.take(now)
        assert taken <= 5.0 + 2.0 * now + 1e-6


def test_one_address_is_held_back_and_others_are_not() -> None:
    turnstile = Turnstile()
    assert sum(through(turnstile, "192.0.2.1", 0.0) for _ in range(500)) == 30
    assert through(turnstile, "192.0.2.2", 0.0)
    assert through(turnstile, "192.0.2.1", 1.0)


def test_many_addresses_together_are_held_back() -> None:
    turnstile = Turnstile()
    assert sum(through(turnstile, f"192.0.2.{number}", 0.0) for number in range(250)) == 200


def test_those_inside_at_once_are_few() -> None:
    turnstile = Turnstile(at_once=3, at_once_per_address=2)
    assert [turnstile.enter("a", 0.0), turnstile.enter("a", 0.0), turnstile.enter("b", 0.0)] == ["", "", ""]
    assert "at this moment" in turnstile.enter("c", 0.0)
    turnstile.leave("a")
    assert "at this moment" not in turnstile.enter("c", 0.0)
    assert "at this moment" in turnstile.enter("a", 0.0)


def test_a_wrong_guess_makes_its_address_wait_longer_each_time() -> None:
    turnstile = Turnstile()
    turnstile.wrong("a", 0.0)
    assert not through(turnstile, "a", 0.9)
    assert through(turnstile, "b", 0.9)
    assert through(turnstile, "a", 1.1)
    turnstile.wrong("a", 1.1)
    assert not through(turnstile, "a", 3.0)
    turnstile.right("a")
    assert through(turnstile, "a", 3.0)
