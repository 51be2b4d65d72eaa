"""Sessions: attaching one to who its key's grant says it is, and what follows when an agent comes or goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.membership.members import Attached, Members, Peer
from bzzzd.daemon.work.agents import AgentBook
from bzzzd.daemon.work.offers import OfferDesk
from bzzzd.identity.caller import Caller
from bzzzd.identity.records import open_record
from bzzzd.rpc.access import attached, guest
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.rpc.session import Call, Session
from bzzzd.slurp.brief import BRIEF_TYPE

_FAREWELL_S: Final = 0.5


class AttachParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``envelope`` is the signed proof over this connection's nonce, ``record`` the signed agent record.

    ``chain`` is the grant chain, leaf first, that the client holds already; a client without one is
    given one where this node may issue it.
    """

    envelope: bytes
    record: bytes
    chain: Annotated[tuple[bytes, ...], Meta(max_length=8)] = ()


class SessionDesk:
    """``arrived(attached)`` is told of each agent, for its announcement on the mesh.

    ``proved(attached, envelope, salt)`` is told of everybody: the proof shows other nodes who works here.
    """

    def __init__(
        self,
        members: Members,
        agents: AgentBook,
        offers: OfferDesk,
        gate: Gate,
        mesh_id: str,
        *,
        epoch: Callable[[], int],
        arrived: Callable[[Attached], None],
        proved: Callable[[Attached, bytes, bytes], None],
    ) -> None:
        self._members = members
        self._agents = agents
        self._offers = offers
        self._gate = gate
        self._mesh_id = mesh_id
        self._epoch = epoch
        self._arrived = arrived
        self._proved = proved

    def attach(self, call: Call, params: AttachParams) -> dict[str, Any]:
        """Prove an identity: sign the nonce of hello; the key's grant says who the session is from then on."""
        session = call.session
        nonce = session.take_nonce()
        peer = Peer(session.peer.uid, session.peer.gid, session.peer.pid)
        found = self._members.attach(params.envelope, params.record, params.chain, nonce, peer)
        caller, before = found.caller, session.caller
        self._proved(found, params.envelope, session.salt)
        if caller.kind == "agent":
            record = open_record(found.record, self._mesh_id)
            self._agents.here(session, caller, record, found.record, found.chain)
            self._offers.agent_here(caller.id, caller.role, caller.capabilities, found.proof.slots)
            self._arrived(found)
        if before.id and (before.kind, before.id) != (caller.kind, caller.id):
            session.subscriptions.close()  # they were opened with somebody else's rights
            self._left(session, before)
        session.become(caller)
        role = caller.role
        return {
            "caller": {"kind": caller.kind, "id": caller.id, "role": role, "capabilities": sorted(caller.capabilities)},
            "mesh_id": self._mesh_id,
            "chain": list(found.chain),
            "readers": {
                "brief": list(self._gate.recipients(role, BRIEF_TYPE)),
                "default": list(self._gate.recipients(role, "text/plain")),
            },
            "epoch": self._epoch(),
        }

    def detach(self, call: Call, params: NoParams) -> dict[str, Any]:
        """Be a guest again; subscriptions end, because they were opened with the rights that are given up."""
        call.session.subscriptions.close()
        self._left(call.session, call.caller)
        call.session.become(None)
        return {}

    def ended(self, session: Session) -> None:
        """A connection is gone."""
        self._left(session, session.caller)

    def recheck(self, sessions: Iterable[Session]) -> None:
        """End every session whose grant holds no longer: it was revoked, or has ended."""
        for session in sessions:
            key, kind = session.caller.key, session.caller.kind
            if key is None or self._members.holds(key, admin=kind == "admin"):
                continue
            self._left(session, session.caller)
            session.become(None)
            # Its rights have ended; an answer that is on its way may still go out.
            asyncio.get_running_loop().call_later(_FAREWELL_S, session.close)

    def _left(self, session: Session, caller: Caller) -> None:
        if caller.kind == "agent" and self._agents.gone(session, caller.id):
            self._offers.agent_gone(caller.id)

    def register(self, registry: Registry) -> None:
        registry.add(
            "session.attach", guest(), AttachParams, self.attach, result="{caller, mesh_id, chain, readers, epoch}"
        )
        registry.add("session.detach", attached(), NoParams, self.detach)
