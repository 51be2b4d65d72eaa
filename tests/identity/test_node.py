from pathlib import Path

import pytest

from bzzzd.crypto.age import new_identity, recipient_of
from bzzzd.crypto.keys import SigningKey, load_or_create_key
from bzzzd.errors import BadInput, GrantRefused, KeyExposed
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.node import NodeIdentity, load_or_found, make_grant, read_grants, write_grant

NOW = 1_800_000_000.0
AGE = recipient_of(new_identity())


def found(state: Path, now: float = NOW) -> NodeIdentity:
    return load_or_found(
        state / "keys" / "node.key",
        state / "keys" / "authority.key",
        state / "grants",
        node_id="one",
        age=AGE,
        agent_roles=("worker",),
        now=now,
    )


def test_a_node_without_a_grant_founds_a_mesh_and_stays_in_it(tmp_path: Path) -> None:
    first, second = found(tmp_path), found(tmp_path)
    assert first.authority_key is not None
    assert (first.mesh_id, first.key.public, first.chain) == (second.mesh_id, second.key.public, second.chain)
    assert first.grant.may_grant == ("worker",)
    assert first.grant.age == AGE


def test_a_grant_names_an_age_recipient_or_none() -> None:
    key = SigningKey.generate()
    with pytest.raises(BadInput, match="age"):
        make_grant(
            key, mesh_id_of(key.public), kind="node", id="one", key=key.public, role="node", valid_s=1, now=NOW,
            age="age1nonsense",
        )  # fmt: skip


def test_a_node_with_a_grant_of_another_authority_belongs_to_that_mesh(tmp_path: Path) -> None:
    authority = SigningKey.generate()
    key = load_or_create_key(tmp_path / "keys" / "node.key")
    mesh = mesh_id_of(authority.public)
    raw = make_grant(authority, mesh, kind="node", id="two", key=key.public, role="node", valid_s=3600, now=NOW)
    write_grant(tmp_path / "grants", "joined", authority.public, [raw])
    node = found(tmp_path)
    assert (node.mesh_id, node.id, node.authority_key) == (mesh, "two", None)
    assert not (tmp_path / "keys" / "authority.key").exists()


def test_a_node_whose_grant_has_ended_is_who_it_was_and_founds_no_other_mesh(tmp_path: Path) -> None:
    before = found(tmp_path)
    later = found(tmp_path, now=NOW + 20 * 365 * 86400)
    assert (later.mesh_id, later.id, later.chain) == (before.mesh_id, before.id, before.chain)
    with pytest.raises(GrantRefused, match="expired"):
        later.trust.admit(later.chain, now=NOW + 20 * 365 * 86400)


def test_a_damaged_or_exposed_grant_file_is_named(tmp_path: Path) -> None:
    found(tmp_path)
    path = tmp_path / "grants" / "node.grant"
    path.write_bytes(b"garbage")
    with pytest.raises(BadInput, match=r"node\.grant"):
        found(tmp_path)
    path.chmod(0o644)
    with pytest.raises(KeyExposed, match=r"node\.grant"):
        found(tmp_path)


def test_grants_are_read_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_grant(tmp_path, name, b"k" * 32, [b"x"])
    assert [path.name for path, _ in read_grants(tmp_path)] == ["a.grant", "b.grant"]
    assert list(read_grants(tmp_path / "missing")) == []
