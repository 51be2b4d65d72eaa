"""Offences add up, fade, and cost a peer its place; honest mistakes do not."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.errors import BzzzError, InvalidEnvelope, NotFound
from bzzzd.mesh.conduct import LIMIT, POINTS, Conduct
from tests.mesh.kit import Town, eventually

PEER, OTHER = b"peer", b"other"


def until_out(conduct: Conduct, now: float) -> int:
    for count in range(1, 1000):
        if conduct.offence(PEER, "forged", now):
            return count
    raise AssertionError("it was never cut off")


def test_who_forges_on_and_on_is_cut_off_and_the_others_are_not() -> None:
    conduct = Conduct()
    assert until_out(conduct, 10.0) == LIMIT / POINTS["forged"]
    assert conduct.left_out_s(PEER, 10.0) == 60.0
    assert conduct.left_out_s(OTHER, 10.0) == 0.0
    assert conduct.left_out_s(PEER, 70.0) == 0.0


def test_each_time_it_stays_out_twice_as_long_up_to_an_hour() -> None:
    conduct, now, spans = Conduct(), 0.0, []
    for _ in range(9):
        until_out(conduct, now)
        spans.append(conduct.left_out_s(PEER, now))
        now += spans[-1]
    assert spans[:3] == [60.0, 120.0, 240.0]
    assert spans[-1] == 3600.0


def test_a_mistake_now_and_then_costs_nothing() -> None:
    conduct = Conduct()
    assert not any(conduct.offence(PEER, "invalid", number * 3.0) for number in range(1000))
    assert conduct.score(PEER, 5000.0) == 0.0


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([PEER, OTHER]), st.sampled_from(sorted(POINTS)), st.floats(0, 50))))
def test_scores_stay_within_their_bounds_and_only_offenders_are_out(happened: list[tuple[bytes, str, float]]) -> None:
    conduct, now, done = Conduct(), 0.0, dict.fromkeys((PEER, OTHER), 0.0)
    for peer, what, later in happened:
        now += later
        done[peer] += POINTS[what]
        cut = conduct.offence(peer, what, now)
        assert not cut or conduct.left_out_s(peer, now) > 0
        for one in (PEER, OTHER):
            assert 0 <= conduct.score(one, now) < LIMIT
            assert done[one] >= LIMIT or conduct.left_out_s(one, now) == 0


def test_what_is_remembered_is_bounded() -> None:
    conduct = Conduct()
    for number in range(5000):
        conduct.offence(str(number).encode(), "garbage", 1.0)
    assert len(conduct._records) <= 1024


async def test_a_member_that_goes_on_sending_nonsense_is_cut_off_and_kept_out(town: Town) -> None:
    first, second = await town.pair()
    for _ in range(9):
        first.mesh.blame(second.mesh.peer_id, "garbage")
    assert "cut_off" not in first.kinds()
    for _ in range(2):  # the first points have faded a little
        first.mesh.blame(second.mesh.peer_id, "garbage")
    await eventually("it to be cut off", lambda: "cut_off" in first.kinds())
    await eventually("it to be refused", lambda: any("was cut off" in event.detail for event in second.events))
    assert not [peer for peer in first.mesh.peers() if peer.connected]
    assert first.mesh.counters.cut_off == 1


async def test_requests_and_answers_that_do_not_hold_count_against_their_sender(town: Town) -> None:
    first, second = await town.pair()

    async def strict(peer_id: str, data: bytes) -> bytes:
        raise InvalidEnvelope("these bytes are signed by nobody")

    async def early(peer_id: str, data: bytes) -> bytes:
        raise InvalidEnvelope("this is dated ahead", at=1e12)

    first.mesh.handle("/bzzz/strict/1", strict)
    first.mesh.handle("/bzzz/other/1", strict, passes_on=True)
    first.mesh.handle("/bzzz/early/1", early)

    async def refused(protocol: str) -> bool:
        try:
            await second.mesh.request(first.mesh.peer_id, protocol, b"x")
        except InvalidEnvelope:
            return True
        except NotFound:  # it is not served yet
            return False
        return False

    for protocol in ("/bzzz/other/1", "/bzzz/early/1", "/bzzz/strict/1"):
        await eventually(protocol, lambda protocol=protocol: refused(protocol))
    await eventually("the request to count", lambda: first.mesh.counters.offences == 1)
    with pytest.raises(InvalidEnvelope), first.mesh.judging(second.mesh.peer_id):
        msgspec.msgpack.decode(b"\xc1")
    await eventually("the answer to count", lambda: first.mesh.counters.offences == 2)
    with pytest.raises(InvalidEnvelope), first.mesh.judging(second.mesh.peer_id):
        msgspec.msgpack.decode(b"\xa2\xff\xfe")  # text that is no UTF-8 is another exception of the library's
    await eventually("that to count as well", lambda: first.mesh.counters.offences == 3)
    # Its word about our bytes is no offence of its own, and of ours only there.
    assert second.mesh.counters.offences == 0


async def test_a_member_whose_requests_never_hold_is_cut_off_while_another_stays(town: Town) -> None:
    first, second = await town.pair()
    third = await town.node("third", static_peers=first.mesh.addresses)
    await eventually("both to be in", lambda: sum(peer.connected for peer in first.mesh.peers()) == 2)

    async def strict(peer_id: str, data: bytes) -> bytes:
        if data == b"bad":
            raise InvalidEnvelope("these bytes are signed by nobody")
        return data

    first.mesh.handle("/bzzz/strict/1", strict)

    async def served() -> bool:
        try:
            return await third.mesh.request(first.mesh.peer_id, "/bzzz/strict/1", b"good") == b"good"
        except NotFound:
            return False

    await eventually("the protocol to be served", served)

    async def cut() -> bool:
        with suppress(BzzzError):
            await second.mesh.request(first.mesh.peer_id, "/bzzz/strict/1", b"bad", timeout=2.0)
        return "cut_off" in first.kinds()

    await eventually("it to be cut off", cut)
    assert await served()
    assert second.mesh.peer_id not in [peer.peer_id for peer in first.mesh.peers() if peer.connected]


class _Lenient:
    def validate(self, key: str, value: bytes) -> None: ...

    def select(self, key: str, values: list[bytes]) -> int:
        return 0


async def test_a_member_that_forges_records_on_and_on_is_cut_off_while_another_stays(town: Town) -> None:
    first, second = await town.pair()
    third = await town.node("third", static_peers=first.mesh.addresses)
    await eventually("both to be in", lambda: sum(peer.connected for peer in first.mesh.peers()) == 2)
    second.mesh._node._records._validator._validators["bzzz"] = _Lenient()  # type: ignore[union-attr,assignment]
    forged = second.record("/bzzz/other", 1)

    async def cut() -> bool:
        with suppress(BzzzError):
            await second.mesh.dht_put("/bzzz/a", forged)
        return "cut_off" in first.kinds()

    await eventually("it to be cut off", cut)
    await eventually("it to be refused", lambda: any("was cut off" in event.detail for event in second.events))
    assert [peer.peer_id for peer in first.mesh.peers() if peer.connected] == [third.mesh.peer_id]
    await third.mesh.dht_put("/bzzz/a", third.record("/bzzz/a", 2))
    assert await first.mesh.dht_get("/bzzz/a") == third.record("/bzzz/a", 2)
