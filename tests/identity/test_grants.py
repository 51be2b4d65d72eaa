from typing import Any

import msgspec
import pytest

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput, BzzzError, GrantRefused, InvalidEnvelope
from bzzzd.identity.grants import Revocations, Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.identity.revocations import RevocationList, Revoked, read_list

NOW = 1_800_000_000.0
AUTHORITY = SigningKey.from_seed(b"a" * 32)
MESH = mesh_id_of(AUTHORITY.public)
ADMIN, NODE, AGENT, PERSON = (SigningKey.from_seed(letter * 32) for letter in (b"m", b"n", b"g", b"p"))


def grant(issuer: SigningKey, kind: str, key: SigningKey, *, mesh: str = MESH, **changes: Any) -> bytes:
    values: dict[str, Any] = {"id": kind, "role": "worker", "valid_s": 3600.0, "now": NOW} | changes
    return make_grant(issuer, mesh, kind=kind, key=key.public, **values)


def delegation(kind: str, key: SigningKey, **changes: Any) -> bytes:
    values: dict[str, Any] = {"may_grant": ("worker",), "max_validity_s": 7200.0, "valid_s": 86400.0} | changes
    return grant(AUTHORITY, kind, key, **values)


TRUST = Trust(MESH, AUTHORITY.public)


def test_a_grant_signed_by_the_authority_is_admitted() -> None:
    found = TRUST.admit([grant(AUTHORITY, "person", PERSON, role="operator")], now=NOW)
    assert (found.kind, found.role, found.key) == ("person", "operator", PERSON.public)


def test_an_agents_chain_leads_over_its_node_and_an_administrator() -> None:
    chain = [
        grant(NODE, "agent", AGENT),
        grant(ADMIN, "node", NODE, role="worker", may_grant=("worker",), max_validity_s=7200.0),
        delegation("admin", ADMIN),
    ]
    assert TRUST.admit(chain, now=NOW).kind == "agent"


REFUSED: dict[str, list[bytes]] = {
    "nothing": [],
    "too long": [grant(AUTHORITY, "person", PERSON)] * 4,
    "self-signed": [grant(PERSON, "person", PERSON)],
    "a node that grants a person": [grant(NODE, "person", PERSON), delegation("node", NODE)],
    "a node that grants a node": [grant(NODE, "node", PERSON), delegation("node", NODE)],
    "a node that grants a role it may not": [grant(NODE, "agent", AGENT, role="admin"), delegation("node", NODE)],
    "a node that grants for longer than it may": [
        grant(NODE, "agent", AGENT, valid_s=9000.0),
        delegation("node", NODE),
    ],
    "an administrator that makes another": [grant(ADMIN, "admin", PERSON), delegation("admin", ADMIN)],
    "a person that grants": [grant(PERSON, "agent", AGENT), delegation("person", PERSON)],
    "a grant that is passed on": [grant(NODE, "agent", AGENT, may_grant=("worker",)), delegation("node", NODE)],
    "a node that may grant more than its administrator": [
        grant(ADMIN, "node", NODE, may_grant=("admin",), max_validity_s=60.0),
        delegation("admin", ADMIN),
    ],
    "a node that may grant for longer than its administrator": [
        grant(ADMIN, "node", NODE, may_grant=("worker",), max_validity_s=9000.0),
        delegation("admin", ADMIN),
    ],
    "a chain with a wrong link": [grant(NODE, "agent", AGENT), delegation("node", ADMIN)],
    "expired": [grant(AUTHORITY, "person", PERSON, now=NOW - 9000.0)],
    "from the future": [grant(AUTHORITY, "person", PERSON, now=NOW + 9000.0)],
    "an expired link": [grant(NODE, "agent", AGENT), delegation("node", NODE, now=NOW - 90000.0)],
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_chain_that_does_not_hold_is_refused(name: str) -> None:
    with pytest.raises(GrantRefused):
        TRUST.admit(REFUSED[name], now=NOW)


def test_a_grant_of_another_mesh_is_refused() -> None:
    other = SigningKey.from_seed(b"o" * 32)
    with pytest.raises(InvalidEnvelope, match="mesh"):
        TRUST.admit([grant(other, "person", PERSON, mesh=mesh_id_of(other.public))], now=NOW)
    with pytest.raises(GrantRefused, match="authority"):
        TRUST.admit([grant(other, "person", PERSON)], now=NOW)


def test_a_mesh_id_belongs_to_one_authority() -> None:
    with pytest.raises(GrantRefused):
        Trust(MESH, PERSON.public)


def test_a_revoked_grant_is_void_and_so_is_what_hangs_on_it() -> None:
    node, agent = delegation("node", NODE), grant(NODE, "agent", AGENT)
    leaf = TRUST.admit([node], now=NOW)
    revoked = Trust(MESH, AUTHORITY.public, Revocations(number=1, grants=frozenset({(leaf.issuer, leaf.serial)})))
    for chain in ([node], [agent, node]):
        with pytest.raises(GrantRefused, match="revoked"):
            revoked.admit(chain, now=NOW)


def test_revoking_an_issuer_names_the_serial_from_which_its_grants_are_void() -> None:
    before, node = grant(NODE, "agent", AGENT), delegation("node", NODE)
    after = grant(NODE, "agent", AGENT)
    serial = TRUST.admit([after, node], now=NOW).serial
    trust = Trust(MESH, AUTHORITY.public, Revocations(number=1, issuers={NODE.public: serial}))
    assert trust.admit([before, node], now=NOW).kind == "agent"
    with pytest.raises(GrantRefused, match="revoked"):
        trust.admit([after, node], now=NOW)


@pytest.mark.parametrize("bad", [{"id": "a b"}, {"id": ""}, {"role": "x" * 65}, {"id": "any\n"}])
def test_a_name_that_no_address_can_hold_is_not_granted(bad: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        grant(AUTHORITY, "person", PERSON, **bad)


def test_garbage_in_a_chain_is_an_error_of_ours() -> None:
    for garbage in (b"", b"\xc1", b"\x93\x01\x02\x03"):
        with pytest.raises(BzzzError):
            TRUST.admit([garbage], now=NOW)


@pytest.mark.parametrize("field", ["not_before", "not_after", "max_validity_s"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_time_that_compares_with_nothing_or_never_comes_is_refused(field: str, value: float) -> None:
    """An end that is NaN is never over, and a validity that is NaN is no longer than any."""
    whole = msgspec.msgpack.decode(grant(NODE, "agent", AGENT), type=list[Any])
    fields = msgspec.msgpack.decode(whole[4]) | {field: value}
    endless = seal(NODE, "grant", MESH, msgspec.msgpack.encode(fields))
    with pytest.raises(InvalidEnvelope):
        TRUST.admit([endless, delegation("node", NODE)], now=NOW)


def test_a_list_of_revocations_takes_no_other_back_by_a_time_that_compares_with_nothing() -> None:
    undone = RevocationList(number=2, at=NOW, keys=(Revoked(PERSON.public, float("nan")),))
    with pytest.raises(InvalidEnvelope):
        read_list(msgspec.msgpack.encode(undone))
