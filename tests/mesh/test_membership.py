from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import GrantRefused
from bzzzd.mesh.membership import Membership, Patience

KEY, OTHER = SigningKey.from_seed(b"k" * 32), SigningKey.from_seed(b"o" * 32)


@dataclass
class Given:
    key: bytes
    kind: str = "node"
    id: str = "n"
    role: str = "worker"


def raw(key: SigningKey) -> bytes:
    return bytes.fromhex("002408011220") + key.public


class Gate:
    def __init__(self) -> None:
        self.open = True
        self.kind = "node"

    def admit(self, chain: Sequence[bytes]) -> Given:
        if not self.open:
            raise GrantRefused("the grant has expired")
        return Given(chain[0], self.kind)


def test_a_peer_is_a_member_once_its_chain_was_accepted_for_its_own_key() -> None:
    members = Membership(Gate().admit)
    assert raw(KEY) not in members
    member = members.add(raw(KEY), [KEY.public], now=5.0, how="inbound")
    assert raw(KEY) in members
    assert (member.grant.key, member.since, member.how) == (KEY.public, 5.0, "inbound")


def test_the_grant_of_another_key_makes_no_member() -> None:
    members = Membership(Gate().admit)
    with pytest.raises(GrantRefused, match="another key"):
        members.add(raw(OTHER), [KEY.public], now=0.0, how="inbound")
    assert len(members) == 0


@pytest.mark.parametrize("kind", ["agent", "person", "admin"])
def test_only_a_nodes_grant_makes_a_peer(kind: str) -> None:
    gate = Gate()
    gate.kind = kind
    with pytest.raises(GrantRefused, match="only nodes"):
        Membership(gate.admit).add(raw(KEY), [KEY.public], now=0.0, how="inbound")


def test_a_check_that_breaks_refuses() -> None:
    def broken(chain: Sequence[bytes]) -> Given:
        raise ZeroDivisionError

    with pytest.raises(GrantRefused, match="ZeroDivisionError"):
        Membership(broken).add(raw(KEY), [KEY.public], now=0.0, how="inbound")


def test_joining_again_keeps_since_and_how() -> None:
    members = Membership(Gate().admit)
    members.add(raw(KEY), [KEY.public], now=1.0, how="static")
    again = members.add(raw(KEY), [KEY.public], now=9.0, how="inbound")
    assert (again.since, again.how) == (1.0, "static")


def test_members_whose_chain_is_no_longer_accepted_are_found() -> None:
    gate = Gate()
    members = Membership(gate.admit)
    member = members.add(raw(KEY), [KEY.public], now=1.0, how="static")
    assert members.expired() == []
    gate.open = False
    assert members.expired() == [(member, "the grant has expired")]
    assert members.remove(raw(KEY)) is member
    assert members.expired() == []


def test_a_refused_peer_waits_longer_each_time_up_to_a_minute() -> None:
    patience: Patience[str] = Patience()
    assert patience.ready("peer", 0.0)
    pauses: list[float] = []
    now = 0.0
    for _ in range(9):
        patience.refused("peer", now)
        start = now
        while not patience.ready("peer", now):
            now += 0.5
        pauses.append(now - start)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
    patience.forget("peer")
    assert patience.ready("peer", 0.0)


def test_refusals_are_remembered_in_bounded_number() -> None:
    patience: Patience[int] = Patience()
    for key in range(3000):
        patience.refused(key, 0.0)
    assert sum(not patience.ready(key, 0.5) for key in range(3000)) == 1024
