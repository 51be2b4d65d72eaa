import time
from types import SimpleNamespace
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.attach import attach_params, bound_nonce
from bzzzd.identity.entitled import ATTACHED_S, Evidence, Rights, rights_of, seal_claim
from bzzzd.identity.grants import Grant, Revocations, Trust, mesh_id_of
from bzzzd.identity.node import make_grant

AUTHORITY, NODE, OTHER, ALICE = (SigningKey.from_seed(bytes([number]) * 32) for number in range(4))
MESH = mesh_id_of(AUTHORITY.public)
TRUST = Trust(MESH, AUTHORITY.public)
SALT = bytes(range(32))
NOW = time.time()


@pytest.fixture(autouse=True)
def proofs_are_made_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long after this file was read a test runs."""
    monkeypatch.setattr("bzzzd.identity.attach.time", SimpleNamespace(time=lambda: NOW))


def granted(kind: str, id: str, key: SigningKey, role: str, **changes: Any) -> bytes:
    return make_grant(
        AUTHORITY, MESH, kind=kind, id=id, key=key.public, role=role, valid_s=30 * 86400, now=NOW - 60, **changes
    )


def node(key: SigningKey = NODE) -> Grant:
    return TRUST.admit([granted("node", "n1", key, "node", may_grant=["worker"], max_validity_s=3600)], now=NOW)


def shown(*, at_node: SigningKey = NODE, salt: bytes = SALT, signer: SigningKey = ALICE) -> Evidence:
    params = attach_params(signer, bound_nonce(at_node.public, salt), MESH, kind="person", id="alice", role="operator")
    return Evidence((granted("person", "alice", ALICE, "operator"),), params["envelope"], SALT)


def rights(*evidence: Evidence, claim: bytes = b"", to: SigningKey = NODE, now: float = NOW) -> Rights:
    return rights_of(node(to), evidence, claim, TRUST, now=now)


def test_a_node_has_the_roles_that_it_may_grant_and_its_own() -> None:
    assert rights() == Rights(frozenset({"worker", "node"}))
    assert "operator" not in rights()


def test_and_the_role_of_whoever_attached_on_it() -> None:
    assert "operator" in rights(shown())


def test_a_proof_that_was_seen_elsewhere_is_of_no_use() -> None:
    """The node that is asked sees the proof; it was made for another node's nonce."""
    found = rights(shown(), to=OTHER)
    assert "operator" not in found
    assert "made on another node" in found.faults[0]
    assert "operator" not in rights(shown(at_node=OTHER))
    assert "operator" not in rights(shown(salt=bytes(32)))


def test_a_proof_by_another_key_than_the_grants_does_not_count() -> None:
    assert "not that of whoever attached" in rights(shown(signer=OTHER)).faults[0]


def test_a_proof_counts_for_some_days() -> None:
    assert "operator" in rights(shown(), now=NOW + ATTACHED_S - 600)
    assert "days old" in rights(shown(), now=NOW + ATTACHED_S + 600).faults[0]
    assert "operator" not in rights(shown(), now=NOW - 3600)


def test_the_proof_of_a_removed_person_does_not_count() -> None:
    trust = Trust(MESH, AUTHORITY.public, Revocations(number=1, keys={ALICE.public: NOW}))
    found = rights_of(node(), [shown()], b"", trust, now=NOW)
    assert "operator" not in found
    assert "revoked" in found.faults[0]


def test_who_holds_the_authority_key_has_every_role() -> None:
    assert "operator" in rights(claim=seal_claim(AUTHORITY, MESH, NODE.public, NOW))
    assert "operator" not in rights(claim=seal_claim(AUTHORITY, MESH, OTHER.public, NOW))
    assert "operator" not in rights(claim=seal_claim(OTHER, MESH, NODE.public, NOW))
    assert "operator" not in rights(claim=seal_claim(AUTHORITY, MESH, NODE.public, NOW - 3600))


@pytest.mark.parametrize("damaged", [b"", b"garbage", bytes(2000)])
def test_damaged_proofs_and_claims_give_nothing(damaged: bytes) -> None:
    assert rights(Evidence((), damaged, SALT), claim=damaged).roles == {"worker", "node"}
