"""Who is given a newer grant by the authority's node, and who is not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.membership.charter import Charter
from bzzzd.daemon.membership.renewing import reissued
from bzzzd.errors import GrantRefused, InvalidEnvelope, NotAllowed
from bzzzd.identity.grants import Revocations, Trust, mesh_id_of
from bzzzd.identity.node import NodeIdentity, load_or_found, make_grant

NOW = 1_800_000_000.0
KEY = SigningKey.from_seed(b"k" * 32)
AGE = "age1" + "q" * 58
OTHER = SigningKey.from_seed(b"o" * 32)


def founder(folder: Path) -> NodeIdentity:
    return load_or_found(
        folder / "keys" / "node.key", folder / "keys" / "authority.key", folder / "grants",
        node_id="n1", age=None, agent_roles=("worker",), now=NOW,
    )  # fmt: skip


def chain_of(who: NodeIdentity, *, kind: str = "node", valid_s: float = 100.0) -> tuple[bytes, ...]:
    assert who.authority_key is not None
    raw = make_grant(
        who.authority_key, who.mesh_id, kind=kind, id="n2", key=KEY.public, role="node", valid_s=valid_s, now=NOW,
        may_grant=("worker",) if kind == "node" else (), max_validity_s=50.0, age=AGE,
    )  # fmt: skip
    return (raw,)


def test_a_node_gets_the_same_again_from_now_before_the_end_and_after_it(tmp_path: Path) -> None:
    who = founder(tmp_path)
    for later in (50.0, 1_000_000.0):
        newer = reissued(who, chain_of(who), KEY.public, now=NOW + later)
        grant = who.trust.admit(newer, now=NOW + later)
        assert (grant.id, grant.role, grant.may_grant, grant.max_validity_s, grant.age) == (
            "n2", "node", ("worker",), 50.0, AGE,
        )  # fmt: skip
        assert grant.not_after == NOW + later + 100.0


def test_a_revoked_node_gets_nothing_ever(tmp_path: Path) -> None:
    who = founder(tmp_path)
    chain = chain_of(who)
    serial = who.trust.read_leaf(chain).serial
    for void in (
        Revocations(number=1, keys={KEY.public: NOW + 1}),
        Revocations(number=1, grants=frozenset({(who.trust.authority, serial)})),
    ):
        who.trust.revocations = void
        for later in (50.0, 1_000_000.0):
            with pytest.raises(GrantRefused, match="revoked"):
                reissued(who, chain, KEY.public, now=NOW + later)


def test_nobody_gets_anothers_grant_nor_one_of_another_kind_or_mesh(tmp_path: Path) -> None:
    who, other = founder(tmp_path / "a"), founder(tmp_path / "b")
    with pytest.raises(GrantRefused, match="not its own"):
        reissued(who, chain_of(who), OTHER.public, now=NOW)
    with pytest.raises(GrantRefused, match="not its own"):
        reissued(who, chain_of(who, kind="person"), KEY.public, now=NOW)
    with pytest.raises(InvalidEnvelope, match="mesh"):
        reissued(who, chain_of(other), KEY.public, now=NOW)


def test_without_the_authoritys_key_nothing_is_renewed(tmp_path: Path) -> None:
    who = founder(tmp_path)
    chain = chain_of(who)
    who.authority_key = None
    with pytest.raises(NotAllowed, match="authority"):
        reissued(who, chain, KEY.public, now=NOW)


def test_a_clock_set_back_revives_no_grant(tmp_path: Path) -> None:
    authority = SigningKey.from_seed(b"a" * 32)
    trust = Trust(mesh_id_of(authority.public), authority.public)
    wall = [NOW]
    charter = Charter(tmp_path, trust, max_age_s=60.0, clock=lambda: wall[0])
    charter.load()
    raw = make_grant(
        authority, trust.mesh_id, kind="node", id="n2", key=KEY.public, role="node", valid_s=100.0, now=NOW - 1000
    )
    asyncio.run(charter.saw(NOW))
    wall[0] = NOW - 950
    with pytest.raises(GrantRefused, match="expired"):
        trust.admit([raw], now=charter.now())
