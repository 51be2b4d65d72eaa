"""The charter on a node: what is durable, who is told, which time holds, and when revocations may be relied on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.membership.charter import Charter
from bzzzd.errors import Conflict, GrantRefused, InvalidEnvelope, Unavailable
from bzzzd.identity.charter import CharterKind, Paper, seal_document
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.identity.revocations import RevocationList, Revoked

NOW = 1_800_000_000.0
AUTHORITY = SigningKey.from_seed(b"a" * 32)
ADMIN = SigningKey.from_seed(b"b" * 32)
MESH = mesh_id_of(AUTHORITY.public)


class Word(Struct):
    number: int
    at: float


class Machine:
    """A node's charter in a folder, with clocks that the test sets."""

    def __init__(self, folder: Path, *, now: float = NOW, alone: bool = False, **more: Any) -> None:
        self.wall = now
        self.boot = 1000.0
        self.trust = Trust(MESH, AUTHORITY.public)
        self.charter = Charter(
            folder, self.trust, max_age_s=100.0, clock=lambda: self.wall, boot=lambda: self.boot,
            alone=lambda: alone, **more,
        )  # fmt: skip
        self.charter.load()

    def put(self, raw: bytes, chain: Sequence[bytes] = ()) -> None:
        asyncio.run(self.charter.put(raw, chain))

    def learn(self, *papers: Paper) -> list[str]:
        return asyncio.run(self.charter.learn(papers))

    def number(self, kind: CharterKind = "epoch") -> int:
        found = self.charter.current(kind)
        return found.number if found is not None else 0


def word(number: int, *, at: float = NOW, key: SigningKey = AUTHORITY, kind: CharterKind = "epoch") -> bytes:
    return seal_document(key, kind, MESH, Word(number, at))


def revoking(key: bytes, *, number: int = 1, at: float = NOW) -> bytes:
    return seal_document(AUTHORITY, "revocations", MESH, RevocationList(number=number, at=at, keys=(Revoked(key, at),)))


def delegation() -> bytes:
    return make_grant(
        AUTHORITY, MESH, kind="admin", id="alice", key=ADMIN.public, role="admin", valid_s=1000.0, now=NOW
    )


def test_what_was_put_is_in_force_after_a_restart_and_one_older_paper_leaves_no_file(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for number in (1, 2):
        machine.put(word(number))
    assert Machine(tmp_path).number() == 2
    assert len(list(tmp_path.glob("*.paper"))) == 1


def test_watchers_hear_of_a_change_once_it_is_in_force_and_of_nothing_else(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    heard: list[tuple[int, int]] = []
    spread: list[Paper] = []
    machine.charter.watch("epoch", lambda document: heard.append((document.number, machine.number())))
    machine.charter.spread_by(spread.append)
    machine.put(word(1))
    machine.put(word(1))
    machine.put(word(7, kind="coordinator"))
    machine.learn(Paper(word(2)))
    assert heard == [(1, 1), (2, 2)]
    assert len(spread) == 3
    with pytest.raises(Conflict) as refused:
        machine.put(word(1, at=NOW + 1))
    assert refused.value.data["number"] == 2


def test_an_administrators_grant_is_looked_up_or_comes_with_the_document(tmp_path: Path) -> None:
    raw = word(1, key=ADMIN)
    with pytest.raises(GrantRefused, match="administrator"):
        Machine(tmp_path / "a").put(raw)
    known = Machine(tmp_path / "b", chain_of=lambda key: (delegation(),) if key == ADMIN.public else ())
    known.put(raw)
    (paper,) = known.charter.papers()
    other = Machine(tmp_path / "c")
    assert other.learn(paper) == []
    assert other.number() == 1


def test_papers_of_another_mesh_and_damaged_ones_are_taken_away_at_the_start(tmp_path: Path) -> None:
    Machine(tmp_path).put(word(1))
    (path,) = tmp_path.glob("*.paper")
    path.write_bytes(path.read_bytes()[:-1])
    assert Machine(tmp_path).number() == 0
    assert not list(tmp_path.glob("*.paper"))


def test_what_members_send_that_does_not_hold_is_left_out_with_its_reason(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    forged = Paper(word(9, key=ADMIN))
    (reason,) = machine.learn(forged, Paper(word(1)))
    assert "administrator" in reason
    assert machine.number() == 1


def test_no_time_is_earlier_than_the_newest_that_was_signed_also_after_a_restart(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(word(1, at=NOW + 60))
    machine.wall = NOW - 86400
    assert machine.charter.now() == NOW + 60
    assert Machine(tmp_path, now=NOW - 86400).charter.now() == NOW + 60
    assert Machine(tmp_path, now=NOW + 100).charter.now() == NOW + 100


def test_a_document_dated_ahead_is_refused_where_it_is_signed_and_by_members_with_a_good_clock(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with pytest.raises(InvalidEnvelope, match="clocks"):
        machine.put(word(1, at=NOW + 3600))
    (reason,) = machine.learn(Paper(word(1, at=NOW + 3600)))
    assert "clocks" in reason
    assert machine.number() == 0
    assert machine.charter.now() == NOW


def test_a_revocation_counts_whatever_a_clock_says_and_moves_no_time(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.learn(Paper(revoking(ADMIN.public, at=NOW + 3600))) == []
    assert machine.trust.revocations.removed(ADMIN.public)
    assert machine.charter.now() == NOW
    assert Machine(tmp_path).trust.revocations.removed(ADMIN.public)


def test_a_clock_known_to_be_behind_refuses_nothing_and_is_put_right_by_what_it_hears(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(word(1))
    machine.wall = NOW - 86400
    assert machine.learn(Paper(word(2, at=NOW + 7 * 86400))) == []
    assert machine.number() == 2
    assert machine.charter.now() == NOW + 7 * 86400


def test_revocations_are_fresh_once_a_member_has_confirmed_them_and_for_so_long(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert not machine.charter.fresh()
    with pytest.raises(Unavailable, match="revocation_max_age_s"):
        machine.charter.check_fresh("admitting somebody")
    asyncio.run(machine.charter.confirmed())
    machine.charter.check_fresh("admitting somebody")
    machine.boot += 101
    assert not machine.charter.fresh()


def test_freshness_outlives_a_restart_by_what_is_left_of_it(tmp_path: Path) -> None:
    asyncio.run(Machine(tmp_path).charter.confirmed())
    assert Machine(tmp_path, now=NOW + 50).charter.fresh()
    assert not Machine(tmp_path, now=NOW + 101).charter.fresh()
    assert not Machine(tmp_path, now=NOW - 1).charter.fresh()


def test_a_lone_node_is_always_fresh(tmp_path: Path) -> None:
    assert Machine(tmp_path, alone=True).charter.fresh()
