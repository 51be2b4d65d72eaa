"""The roll of members: which grant counts, and that no member pushes others out."""

from __future__ import annotations

from itertools import permutations

from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.grants import Grant, GrantKind, issue, mesh_id_of
from bzzzd.identity.roll import Roll

AUTHORITY = SigningKey.from_seed(b"a" * 32)
MESH = mesh_id_of(AUTHORITY.public)
NODES = [SigningKey.from_seed(bytes([n]) * 32) for n in (1, 2)]


def entered(
    roll: Roll, key: bytes, *, kind: GrantKind = "node", issuer: SigningKey = AUTHORITY, at: float = 1.0,
    end: float = 100.0, role: str = "worker",
) -> bool:  # fmt: skip
    grant = Grant(
        kind=kind, id="x", mesh_id=MESH, key=key, role=role, serial=1, not_before=at, not_after=end,
        issuer=issuer.public,
    )  # fmt: skip
    return roll.add((grant,), (issue(issuer, grant),))


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_of_two_grants_the_later_one_counts_whatever_came_first() -> None:
    for order in permutations([(1.0, "first"), (2.0, "second"), (3.0, "third")]):
        roll = Roll()
        for at, role in order:
            entered(roll, name(1), at=at, role=role)
        found = roll.get(name(1))
        assert found is not None
        assert found.grant.role == "third"
        assert len(roll) == 1
        assert not entered(roll, name(1), at=3.0, role="third")


def test_no_node_makes_an_agent_of_another_node_or_of_a_person() -> None:
    kinds: tuple[GrantKind, GrantKind] = ("node", "person")
    for kind in kinds:
        for order in permutations([(kind, AUTHORITY, 1.0), ("agent", NODES[1], 50.0)]):
            roll = Roll()
            for what, issuer, at in order:
                entered(roll, name(1), kind=what, issuer=issuer, at=at)
            found = roll.get(name(1))
            assert found is not None
            assert found.grant.kind == kind
    roll = Roll()
    for at, issuer in ((1.0, NODES[0]), (2.0, NODES[1])):  # an agent that has moved
        assert entered(roll, name(1), kind="agent", issuer=issuer, at=at)


def test_agents_are_found_by_their_id() -> None:
    roll = Roll(most_of_a_node=2)
    for number in (3, 1, 2):
        entered(roll, name(number), kind="agent", issuer=NODES[number % 2], at=float(number))
    assert [entry.grant.key for entry in roll.agents("x")] == [name(1), name(2), name(3)]
    assert roll.agents("y") == []
    entered(roll, name(4), kind="agent", issuer=NODES[1], at=4.0)  # one of the same issuer goes for it
    assert len(roll.agents("x")) == 3
    entered(roll, name(2), kind="person")
    assert name(2) not in [entry.grant.key for entry in roll.agents("x")]


def test_a_delegation_stands_beside_its_persons_grant() -> None:
    roll = Roll()
    assert entered(roll, name(1), kind="person")
    assert roll.delegation(name(1)) is None
    assert entered(roll, name(1), kind="admin")
    assert roll.get(name(1)) is not None
    assert roll.delegation(name(1)) is not None


def test_a_node_that_grants_without_end_pushes_out_only_its_own_agents() -> None:
    roll = Roll(most=100, most_of_a_node=10)
    entered(roll, NODES[0].public)
    entered(roll, name(5000), kind="agent", issuer=NODES[1])
    for number in range(200):
        entered(roll, name(number), kind="agent", issuer=NODES[0], end=1000.0 + number)
    assert len(roll) == 12
    assert roll.get(NODES[0].public) is not None
    assert roll.get(name(5000)) is not None
    assert [number for number in range(200) if roll.get(name(number))] == list(range(190, 200))


def test_a_full_roll_lets_go_what_ended_first() -> None:
    roll = Roll(most=3)
    for number in range(4):
        entered(roll, name(number), end=100.0 - number)
    assert [number for number in range(4) if roll.get(name(number))] == [0, 1, 3]
