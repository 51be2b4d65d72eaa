from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from bzzzd.config.roles import RolesFile
from bzzzd.config.schema import LocalAgent, SecuritySection
from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.membership.members import Attached, Members, Peer
from bzzzd.daemon.membership.people import People
from bzzzd.errors import BadInput, GrantRefused, InvalidEnvelope, NotFound
from bzzzd.identity.attach import attach_params
from bzzzd.identity.grants import Revocations
from bzzzd.identity.node import NodeIdentity, load_or_found, make_grant
from bzzzd.identity.policy import Policy, PolicyRecord

NOW = 1_800_000_000.0
OWN = 1000
NONCE = bytes(range(32))
POLICY = Policy(
    PolicyRecord(
        number=1,
        at=NOW,
        roles=msgspec.convert(
            yaml.safe_load((Path(__file__).parents[3] / "etc" / "roles.yaml").read_text()), RolesFile
        ),
    )
)


class Desk:
    """Members of a fresh founder's node, at a time that the test sets."""

    def __init__(self, folder: Path, **security: Any) -> None:
        self.now = NOW
        self.identity: NodeIdentity = load_or_found(
            folder / "keys" / "node.key", folder / "keys" / "authority.key", folder / "grants",
            node_id="n1", age=None, agent_roles=("worker", "reviewer"), now=NOW,
        )  # fmt: skip
        self.people = People(folder / "people.json")
        self.people.load()
        self.members = Members(
            self.identity, lambda: POLICY, SecuritySection(**security), self.people, folder / "grants",
            own_uid=OWN, clock=lambda: self.now,
        )  # fmt: skip
        self.members.load()

    def attach(self, key: SigningKey, uid: int = OWN, nonce: bytes = NONCE, **changes: Any) -> Attached:
        who: dict[str, Any] = {"kind": "agent", "id": "w1", "role": "worker", "capabilities": ("answer",)} | changes
        params = attach_params(key, NONCE, self.identity.mesh_id, **who)
        return self.members.attach(params["envelope"], params["record"], params["chain"], nonce, Peer(uid, uid, 1))

    def granted_by_n2(self, key: SigningKey, id: str = "w1", valid_s: float = 1000.0) -> tuple[bytes, ...]:
        """The chain of an agent that another node of this mesh granted."""
        assert self.identity.authority_key is not None
        node = make_grant(
            self.identity.authority_key, self.identity.mesh_id, kind="node", id="n2", key=NODE_2.public, role="node",
            valid_s=10_000.0, now=self.now, may_grant=("worker",), max_validity_s=10_000.0,
        )  # fmt: skip
        agent = make_grant(
            NODE_2, self.identity.mesh_id, kind="agent", id=id, key=key.public, role="worker", valid_s=valid_s,
            now=self.now,
        )  # fmt: skip
        self.members.admit((node,))
        return agent, node


KEY = SigningKey.from_seed(b"k" * 32)
OTHER = SigningKey.from_seed(b"o" * 32)
NODE_2 = SigningKey.from_seed(b"2" * 32)


def test_an_agent_of_a_listed_user_gets_the_role_that_the_node_may_grant(tmp_path: Path) -> None:
    user = msgspec.structs.replace(LocalAgent(user="root"), role="worker")
    caller, chain, _, _ = Desk(tmp_path, agents=(user,)).attach(KEY, uid=0)
    assert (caller.kind, caller.id, caller.role, caller.capabilities) == ("agent", "w1", "worker", {"answer"})
    assert len(chain) == 2


def test_an_agent_of_another_user_or_role_is_refused_with_the_key_to_change(tmp_path: Path) -> None:
    desk = Desk(tmp_path, agents=(LocalAgent(user="root"),))
    with pytest.raises(GrantRefused, match=r"security\.agents"):
        desk.attach(KEY, uid=OWN)
    with pytest.raises(GrantRefused, match=r"security\.agents"):
        desk.attach(KEY, uid=0, role="admin")


def test_in_development_the_sockets_owner_runs_agents_but_grants_them_no_more_than_the_node_may(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True)
    assert desk.attach(KEY).caller.kind == "agent"
    with pytest.raises(GrantRefused, match="may not grant the role admin"):
        desk.attach(KEY, role="admin")
    with pytest.raises(GrantRefused):
        desk.attach(KEY, uid=OWN + 1)


def test_capabilities_beyond_the_roles_are_left_out(tmp_path: Path) -> None:
    attached = Desk(tmp_path, development=True).attach(KEY, role="reviewer", capabilities=("review", "format-disk"))
    assert attached.caller.capabilities == {"review"}


def test_a_grant_is_kept_until_half_of_its_time_and_then_renewed(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True, agent_grant_s=1000.0)
    first = desk.attach(KEY).chain
    desk.now += 400
    assert desk.attach(KEY, chain=first).chain == first
    desk.now += 200
    assert desk.attach(KEY, chain=first).chain != first


def test_an_agents_grant_that_has_ended_no_longer_signs_for_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True, agent_grant_s=1000.0)
    desk.attach(KEY)
    assert desk.members.grant_of(KEY.public).id == "w1"
    desk.now += 1001
    with pytest.raises(GrantRefused, match="attach again"):
        desk.members.grant_of(KEY.public)
    with pytest.raises(GrantRefused, match="no grant"):
        desk.members.grant_of(OTHER.public)


def test_a_proof_over_another_nonce_or_with_another_subjects_record_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True)
    with pytest.raises(InvalidEnvelope, match="nonce"):
        desk.attach(KEY, nonce=bytes(32))
    mine = attach_params(KEY, NONCE, desk.identity.mesh_id, kind="agent", id="w1", role="worker")
    theirs = attach_params(OTHER, NONCE, desk.identity.mesh_id, kind="agent", id="w2", role="worker")
    with pytest.raises(BadInput, match="different subjects"):
        desk.members.attach(mine["envelope"], theirs["record"], (), NONCE, Peer(OWN, OWN, 1))


def test_an_id_that_another_nodes_agent_has_is_not_granted_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True)
    desk.members.admit(desk.granted_by_n2(OTHER))
    with pytest.raises(GrantRefused, match=f"granted by n2; .*bzzz mesh revoke {OTHER.public.hex()}"):
        desk.attach(KEY)
    assert not desk.members.is_member(KEY.public)
    assert desk.attach(KEY, id="w2").caller.id == "w2"


def test_an_id_is_free_again_when_the_other_agents_grant_has_ended_or_was_revoked(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True)
    desk.members.admit(desk.granted_by_n2(OTHER, valid_s=100.0))
    desk.now += 101
    assert desk.attach(KEY).caller.id == "w1"
    desk.members.admit(desk.granted_by_n2(OTHER, id="w3"))
    desk.identity.trust.revocations = Revocations(number=1, keys={NODE_2.public: desk.now + 1})
    assert desk.attach(SigningKey.from_seed(b"3" * 32), id="w3").caller.id == "w3"


def test_an_agent_that_moves_with_its_key_keeps_its_id_and_one_of_this_node_may_get_a_new_key(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True)
    chain = desk.granted_by_n2(KEY)
    desk.members.admit(chain)
    assert desk.attach(KEY, chain=chain).caller.id == "w1"
    assert desk.attach(KEY).chain != chain
    assert desk.attach(OTHER).caller.id == "w1"


def test_of_two_agents_that_were_granted_one_id_apart_neither_is_put_out_and_both_are_shown(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True, agent_grant_s=1000.0)
    first = desk.attach(KEY)
    assert desk.members.twice() == {}
    desk.now += 10
    desk.members.admit(desk.granted_by_n2(OTHER, valid_s=5000.0))
    own = desk.identity.key.public
    assert [entry.grant.key for entry in desk.members.namesakes("w1", KEY.public, own)] == [OTHER.public]
    assert [entry.grant.key for entry in desk.members.twice()["w1"]] == [KEY.public, OTHER.public]
    desk.now += 590  # over half of the grant's time: it is made anew all the same
    assert desk.attach(KEY, chain=first.chain).chain != first.chain
    desk.now += 1001  # but one that has let it end comes second
    with pytest.raises(GrantRefused, match="granted by n2"):
        desk.attach(KEY)
    assert desk.members.twice() == {}


def test_a_person_without_a_grant_is_told_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(GrantRefused, match="sudo bzzz mesh admin add"):
        Desk(tmp_path).attach(KEY, kind="person", id="alice")


def test_a_bound_user_becomes_a_person_and_administrator_and_stays_so_over_a_restart(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.members.bind("root", role="admin", admin=True)
    assert desk.attach(KEY, uid=0, kind="person", id="anything").caller.kind == "admin"
    again = Desk(tmp_path)
    caller = again.attach(KEY, uid=0, kind="person", id="anything").caller
    assert (caller.kind, caller.id, caller.role) == ("admin", "root", "admin")
    assert again.members.is_admin(KEY.public)


def test_the_first_key_of_a_bound_user_is_pinned(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.members.bind("root", role="operator", admin=False)
    assert desk.attach(KEY, uid=0, kind="person", id="root").caller.kind == "person"
    with pytest.raises(GrantRefused, match="another key"):
        desk.attach(OTHER, uid=0, kind="person", id="root")


def test_binding_an_unknown_user_or_role_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    with pytest.raises(NotFound, match="no-such-user"):
        desk.members.bind("no-such-user", role="admin", admin=True)
    with pytest.raises(NotFound, match="no role"):
        desk.members.bind("root", role="emperor", admin=True)


def test_in_development_the_first_person_of_the_sockets_owner_is_the_administrator(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True)
    caller = desk.attach(KEY, kind="person", id="alice").caller
    assert (caller.kind, caller.id) == ("admin", "alice")
    with pytest.raises(GrantRefused):
        desk.attach(OTHER, uid=OWN + 1, kind="person", id="bob")


def test_a_persons_grant_is_no_agents(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True)
    chain = desk.attach(KEY).chain
    with pytest.raises(GrantRefused, match="not a person's"):
        desk.attach(KEY, kind="person", id="w1", chain=chain)


def test_damaged_bindings_stop_the_start_with_their_file(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_bytes(b"[{")
    path.chmod(0o600)
    with pytest.raises(BadInput, match=r"people\.json"):
        People(path).load()


def test_a_person_bound_where_the_authority_is_gets_a_new_grant_in_the_last_month_and_after_the_end(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    desk.members.bind("root", role="operator", admin=False)
    first = desk.attach(KEY, uid=0, kind="person", id="root").chain
    desk.now += 200 * 86400
    assert desk.attach(KEY, uid=0, kind="person", id="root").chain == first
    desk.now += 150 * 86400
    second = desk.attach(KEY, uid=0, kind="person", id="root", chain=first).chain
    assert second != first
    desk.now += 400 * 86400
    assert desk.attach(KEY, uid=0, kind="person", id="root", chain=second).chain not in (first, second)


def test_a_revoked_key_gets_nothing_back_by_itself(tmp_path: Path) -> None:
    desk = Desk(tmp_path, development=True)
    shown = desk.attach(KEY, kind="person", id="alice").chain
    agent = desk.attach(OTHER).chain
    desk.identity.trust.revocations = Revocations(number=1, keys={KEY.public: desk.now, OTHER.public: desk.now})
    desk.now += 10
    for chain in (shown, ()):
        with pytest.raises(GrantRefused, match="revoked"):
            desk.attach(KEY, kind="person", id="alice", chain=chain)
    for chain in (agent, ()):
        with pytest.raises(GrantRefused, match="revoked"):
            desk.attach(OTHER, chain=chain)
    assert not desk.members.is_admin(KEY.public)
    assert desk.members.rows()[-1]["state"] == "revoked"
