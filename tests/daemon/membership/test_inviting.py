"""The inviter's desk: every refusal has its own reason, a use is counted once, and nobody signs more than allowed."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import yaml

from bzzzd.config.roles import RolesFile
from bzzzd.config.schema import SecuritySection
from bzzzd.crypto.keys import SigningKey, key_text
from bzzzd.daemon.membership.invite_params import CodeParams, ConfirmParams, InvitationParams, InviteParams
from bzzzd.daemon.membership.inviting import InviteDesk
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.membership.people import People
from bzzzd.errors import BadInput, BzzzError, GrantRefused, InvitationRefused, NotAllowed, NotFound
from bzzzd.identity.grants import Revocations, Trust
from bzzzd.identity.invitation import (
    MAX_WRONG,
    Outcome,
    Token,
    proof_key,
    prove,
    read_outcome,
    read_token,
    seal_ask,
    short_code,
)
from bzzzd.identity.node import NodeIdentity, load_or_found, make_grant
from bzzzd.identity.policy import Policy, PolicyRecord
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.mesh.values import JoinTry
from bzzzd.rpc.registry import NoParams
from bzzzd.storage.invitations import SCHEMA, Invitations
from bzzzd.storage.journal.journal import Journal

ROLES = yaml.safe_load((Path(__file__).parents[3] / "etc" / "roles.yaml").read_text())
POLICY = Policy(PolicyRecord(number=1, at=1.0, roles=msgspec.convert(ROLES, RolesFile)))
ADMIN, JOINER, OTHER, CARRIER = (SigningKey.from_seed(letter * 32) for letter in (b"m", b"j", b"o", b"c"))
CHALLENGE = b"c" * 32


class Desk:
    """A desk over a real journal, with an administrator, at a time that the test sets."""

    def __init__(self, folder: Path, journal: Journal, *, authority: bool = True) -> None:
        self.folder = folder
        self.now = time.time()
        self.identity: NodeIdentity = load_or_found(
            folder / "keys" / "node.key", folder / "keys" / "authority.key", folder / "grants",
            node_id="n1", age=None, agent_roles=("worker",), now=self.now,
        )  # fmt: skip
        assert self.identity.authority_key is not None
        self.authority = self.identity.authority_key
        if not authority:
            self.identity.authority_key = None
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.mesh = SimpleNamespace(
            addresses=("/ip4/127.0.0.1/tcp/1/p2p/x", "/ip4/192.0.2.7/tcp/8075/p2p/x"), welcome=lambda decide: None
        )
        self.restart(journal)
        self.delegate(POLICY.roles)

    def restart(self, journal: Journal) -> None:
        people = People(self.folder / "people.json")
        self.members = Members(
            self.identity, lambda: POLICY, SecuritySection(), people, self.folder / "grants", own_uid=1,
            clock=lambda: self.now,
        )  # fmt: skip
        self.members.load()
        mesh: Any = self.mesh
        self.desk = InviteDesk(
            Invitations(journal), self.members, lambda: POLICY, self.identity, mesh, self.folder / "grants",
            clock=lambda: self.now, tell=lambda kind, fields: self.events.append((kind, fields)),
        )  # fmt: skip

    def grant(self, kind: str, key: SigningKey, id: str, role: str, **more: Any) -> None:
        raw = make_grant(
            self.authority, self.identity.mesh_id, kind=kind, id=id, key=key.public, role=role, valid_s=9e6,
            now=self.now, **more,
        )  # fmt: skip
        self.members.admit([raw])

    def delegate(self, roles: Any, valid_s: float = 7200.0) -> None:
        self.grant("admin", ADMIN, "alice", "admin", may_grant=tuple(roles), max_validity_s=valid_s)

    @property
    def call(self) -> Any:
        return SimpleNamespace(caller=SimpleNamespace(key=ADMIN.public, id="alice"))

    async def invite(self, **params: Any) -> Token:
        made = await self.desk.invite(self.call, InviteParams(**params))
        assert made["token"] not in repr(self.events)
        return read_token(made["token"])

    async def ask(self, token: Token, raw: bytes | None = None, **changes: Any) -> Outcome:
        raw = raw or seal_ask(JOINER, token, id="n2", age=None)
        carrier = changes.pop("carrier", JOINER)
        key = proof_key(changes.pop("with_token", token))
        proof = prove(key, inviter=token.inviter, carrier=carrier.public, challenge=CHALLENGE, ask=raw)
        fields: dict[str, Any] = {
            "peer_id": peer_id_of(carrier.public), "address": "192.0.2.9", "invitation": token.id,
            "challenge": CHALLENGE, "ask": raw, "proof": proof,
        }  # fmt: skip
        return read_outcome(await self.desk.answer(JoinTry(**{**fields, **changes})))

    async def waiting(self) -> list[dict[str, Any]]:
        found = await self.desk.requests(self.call, NoParams())
        return list(found["requests"])


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    journal = await Journal.open(tmp_path / "state" / "journal.sqlite", (SCHEMA,))
    yield journal
    await journal.close()


@pytest.fixture
def desk(tmp_path: Path, journal: Journal) -> Desk:
    return Desk(tmp_path, journal)


def reason(error: pytest.ExceptionInfo[InvitationRefused]) -> str:
    return str(error.value.data["reason"])


async def test_an_unattended_invitation_gives_a_grant_that_leads_to_the_authority(desk: Desk) -> None:
    token = await desk.invite(yes=True)
    outcome = await desk.ask(token)
    grant = Trust(token.mesh_id, token.authority).admit(outcome.chain, now=desk.now)
    assert (grant.kind, grant.id, grant.key, grant.role) == ("node", "n2", JOINER.public, "node")
    assert {"worker", "reviewer"} <= set(grant.may_grant)
    assert not {"admin", "operator", "node"} & set(grant.may_grant)
    assert desk.members.is_member(JOINER.public)
    assert [kind for kind, _ in desk.events] == ["invited", "join_confirmed"]


async def test_the_token_names_addresses_that_others_can_reach(desk: Desk) -> None:
    assert (await desk.invite()).addresses == ("/ip4/192.0.2.7/tcp/8075",)
    desk.mesh.addresses = ("/ip4/127.0.0.1/tcp/1/p2p/x",)
    assert (await desk.invite()).addresses == ("/ip4/127.0.0.1/tcp/1",)


async def test_a_lost_answer_is_given_again_and_uses_nothing_up(desk: Desk, journal: Journal) -> None:
    token = await desk.invite(yes=True)
    first = await desk.ask(token)
    assert (await desk.ask(token)).chain == first.chain
    desk.restart(journal)
    assert (await desk.ask(token)).chain == first.chain
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token, seal_ask(OTHER, token, id="n3", age=None), carrier=OTHER)
    assert reason(error) == "used"


async def test_uses_are_counted_over_restarts(desk: Desk, journal: Journal) -> None:
    token = await desk.invite(yes=True, uses=2)
    await desk.ask(token)
    desk.restart(journal)
    await desk.ask(token, seal_ask(OTHER, token, id="n3", age=None), carrier=OTHER)
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token, seal_ask(CARRIER, token, id="n4", age=None), carrier=CARRIER)
    assert reason(error) == "used"


async def test_a_person_decides_by_the_code_that_both_sides_show(desk: Desk) -> None:
    token = await desk.invite()
    raw = seal_ask(JOINER, token, id="n2", age=None)
    waits = await desk.ask(token, raw)
    assert waits.chain == ()
    (row,) = await desk.waiting()
    assert row["code"] == short_code(token.authority, token.inviter, raw, JOINER.public, waits.nonce)
    assert (await desk.ask(token, raw)).nonce == waits.nonce
    assert not desk.members.is_member(JOINER.public)
    await desk.desk.confirm(desk.call, ConfirmParams(code=row["code"]))
    assert (await desk.ask(token, raw)).chain
    assert await desk.waiting() == []
    assert [kind for kind, _ in desk.events] == ["invited", "join_requested", "join_confirmed"]


async def test_a_refused_joiner_is_told_so_and_is_nobody(desk: Desk) -> None:
    token = await desk.invite()
    await desk.ask(token)
    (row,) = await desk.waiting()
    desk.desk.refuse(desk.call, CodeParams(code=row["code"]))
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token)
    assert reason(error) == "refused"
    assert not desk.members.is_member(JOINER.public)
    with pytest.raises(NotFound):
        await desk.desk.confirm(desk.call, ConfirmParams(code=row["code"]))


async def test_a_pinned_key_is_let_in_and_no_other(desk: Desk) -> None:
    for text in (key_text(JOINER.public), JOINER.public.hex(), peer_id_of(JOINER.public)):
        token = await desk.invite(key=text)
        with pytest.raises(InvitationRefused) as error:
            await desk.ask(token, seal_ask(OTHER, token, id="n3", age=None), carrier=OTHER)
        assert reason(error) == "key"
        assert (await desk.ask(token)).chain


async def test_an_invitation_ends(desk: Desk) -> None:
    token = await desk.invite(yes=True, expires_s=60.0)
    desk.now += 61.0
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token)
    assert reason(error) == "expired"
    taken_back = await desk.invite(yes=True)
    await desk.desk.cancel(desk.call, InvitationParams(invitation=taken_back.id.hex()))
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(taken_back)
    assert reason(error) == "expired"


async def test_wrong_secrets_are_counted_and_make_the_invitation_void(desk: Desk, journal: Journal) -> None:
    token = await desk.invite(yes=True)
    guess = msgspec.structs.replace(token, secret=b"x" * len(token.secret))
    for turn in range(MAX_WRONG):
        if turn == MAX_WRONG // 2:
            desk.restart(journal)
        with pytest.raises(InvitationRefused) as error:
            await desk.ask(token, with_token=guess)
        assert reason(error) == "proof"
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token)
    assert reason(error) == "void"
    assert sum(kind == "join_refused" for kind, _ in desk.events) == MAX_WRONG


async def test_a_proof_that_was_used_before_is_refused_as_that(desk: Desk) -> None:
    token = await desk.invite(yes=True)
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token, challenge=b"")
    assert reason(error) == "replayed"
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token, challenge=b"d" * 32)
    assert reason(error) == "proof"


async def test_a_proof_carried_by_another_peer_does_not_hold(desk: Desk) -> None:
    token = await desk.invite(yes=True)
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token, peer_id=peer_id_of(OTHER.public))
    assert reason(error) == "proof"
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token, carrier=OTHER)
    assert reason(error) == "carrier"


async def test_an_ask_for_another_mesh_or_an_unknown_invitation_is_refused(desk: Desk) -> None:
    token = await desk.invite(yes=True)
    foreign = msgspec.structs.replace(token, authority=OTHER.public)
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(foreign)
    assert reason(error) == "mesh"
    unknown = msgspec.structs.replace(token, id=b"u" * 8)
    for changes in ({}, {"invitation": token.id}):
        with pytest.raises(InvitationRefused) as error:
            await desk.ask(unknown, **changes)
        assert reason(error) == "unknown"


async def test_an_id_that_another_key_has_is_refused(desk: Desk) -> None:
    desk.grant("node", OTHER, "n2", "node")
    token = await desk.invite(yes=True)
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token)
    assert reason(error) == "taken"
    assert (await desk.ask(token, seal_ask(JOINER, token, id="n3", age=None))).chain


async def test_a_revoked_key_does_not_come_back_by_an_invitation(desk: Desk) -> None:
    token = await desk.invite(yes=True, uses=2)
    await desk.ask(token)
    desk.now += 1.0
    desk.identity.trust.revocations = Revocations(keys={JOINER.public: desk.now})
    with pytest.raises(GrantRefused):
        await desk.ask(token)
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(await desk.invite(yes=True))
    assert reason(error) == "revoked"
    assert not desk.members.is_member(JOINER.public)


async def test_what_nobody_can_encrypt_to_gets_into_no_grant(desk: Desk) -> None:
    token = await desk.invite(yes=True)
    with pytest.raises(BadInput, match="age recipient"):
        await desk.ask(token, seal_ask(JOINER, token, id="n2", age="age1nonsense"))
    assert not desk.members.is_member(JOINER.public)


async def test_nobody_invites_beyond_their_delegation(desk: Desk) -> None:
    desk.delegate(["operator"])
    with pytest.raises(NotAllowed, match="may not grant the role node"):
        await desk.invite()
    token = await desk.invite(person="bob")
    desk.grant("node", CARRIER, "n2", "node")
    raw = seal_ask(JOINER, token, id="bob", age=None)
    await desk.ask(token, raw, carrier=CARRIER)
    (row,) = await desk.waiting()
    desk.delegate(["node"])
    with pytest.raises(NotAllowed, match="may not grant the role operator"):
        await desk.desk.confirm(desk.call, ConfirmParams(code=row["code"]))
    stranger: Any = SimpleNamespace(caller=SimpleNamespace(key=OTHER.public, id="eve"))
    with pytest.raises(NotAllowed, match="no delegation"):
        await desk.desk.invite(stranger, InviteParams())


@pytest.mark.parametrize(
    "params", [{"role": "worker"}, {"role": "node", "person": "bob"}, {"person": "bob", "uses": 2},
               {"role": "operator", "id": "n2"}, {"key": "no key"}],
)  # fmt: skip
async def test_an_invitation_that_makes_no_sense_is_refused(desk: Desk, params: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        await desk.invite(**params)


async def test_a_person_comes_by_a_node_that_is_a_member(desk: Desk) -> None:
    token = await desk.invite(person="bob", yes=True)
    raw = seal_ask(JOINER, token, id="bob", age=None)
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token, raw, carrier=CARRIER)
    assert reason(error) == "carrier"
    desk.grant("node", CARRIER, "n2", "node")
    with pytest.raises(InvitationRefused) as error:
        await desk.ask(token, seal_ask(JOINER, token, id="eve", age=None), carrier=CARRIER)
    assert reason(error) == "subject"
    outcome = await desk.ask(token, raw, carrier=CARRIER)
    grant = desk.identity.trust.admit(outcome.chain, now=desk.now)
    assert (grant.kind, grant.id, grant.role, grant.may_grant) == ("person", "bob", "operator", ())


def signed(desk: Desk, row: dict[str, Any], **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "kind": row["kind"], "id": row["id"], "key": JOINER.public, "role": row["role"], "valid_s": row["valid_s"],
        "now": desk.now, "may_grant": row["may_grant"], "max_validity_s": row["max_validity_s"],
    }  # fmt: skip
    return make_grant(ADMIN, desk.identity.mesh_id, **{**values, **changes})


async def test_without_the_authoritys_key_the_administrators_client_signs(tmp_path: Path, journal: Journal) -> None:
    desk = Desk(tmp_path, journal, authority=False)
    token = await desk.invite(yes=True)
    assert not (await desk.ask(token)).chain
    (row,) = await desk.waiting()
    assert (row["signs"], row["unattended"]) == ("client", True)
    with pytest.raises(GrantRefused, match="client signs"):
        await desk.desk.confirm(desk.call, ConfirmParams(code=row["code"]))
    for changes in ({"role": "admin"}, {"may_grant": ["admin"]}, {"id": "n9"}, {"valid_s": 90000.0}, {"now": 1.0}):
        with pytest.raises(BzzzError):
            await desk.desk.confirm(desk.call, ConfirmParams(code=row["code"], grant=signed(desk, row, **changes)))
    assert not desk.members.is_member(JOINER.public)
    await desk.desk.confirm(desk.call, ConfirmParams(code=row["code"], grant=signed(desk, row)))
    outcome = await desk.ask(token)
    assert len(outcome.chain) == 2
    assert desk.identity.trust.admit(outcome.chain, now=desk.now).id == "n2"
