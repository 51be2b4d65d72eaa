"""The way into a mesh at this node: the desks that invite, that join, and that handle the authority's key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bzzzd.config.settings import Settings, Surroundings, expand
from bzzzd.crypto.age import recipient_of
from bzzzd.daemon.identity import IdentityService
from bzzzd.daemon.membership.authority import AuthorityDesk
from bzzzd.daemon.membership.inviting import InviteDesk
from bzzzd.daemon.membership.joining import JoinDesk
from bzzzd.daemon.membership.unattended import FileJoin
from bzzzd.mesh.mesh import Mesh
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.restart import Restart
from bzzzd.storage.invitations import Invitations
from bzzzd.storage.journal.journal import Journal


class Entry:
    """Made once the store is open; ``restart`` is wished for when this node has joined another mesh.

    ``recovered`` is called when the authority's key was put together here.
    """

    def __init__(
        self,
        settings: Settings,
        who: IdentityService,
        mesh: Mesh,
        journal: Journal,
        events: Stream,
        restart: Restart,
        *,
        recovered: Callable[[], object],
        spawn: Callable[..., Any],
    ) -> None:
        self._who = who
        self._events = events
        state = settings.state_dir
        self._inviting = InviteDesk(
            Invitations(journal), who.members, lambda: who.policies.current, who.node, mesh, settings.grants_dir,
            clock=who.clock, tell=self._tell, check_fresh=who.charter.check_fresh,
        )  # fmt: skip
        self._authority = AuthorityDesk(
            who.node,
            who.members,
            state / "keys" / "authority.key",
            who.age_secret,
            tell=self._tell,
            recovered=recovered,
        )
        self._joining = JoinDesk(
            who.node, who.members, mesh, journal, state, own_id=settings.config.agent.id,
            age=recipient_of(who.age_secret), clock=who.clock, restart=restart.request,
            meeting=settings.config.network.bootstrap_peers,
        )  # fmt: skip
        self._spawn = spawn
        given = settings.config.security.join_file
        self._file = FileJoin(expand(given, Surroundings.here()), self._joining.node) if given else None

    def register(self, registry: Registry) -> None:
        self._authority.register(registry)
        self._inviting.register(registry)
        self._joining.register(registry)

    async def open(self) -> None:
        """Begin to answer joiners, and to look for an invitation in the file that the configuration names."""
        await self._inviting.open()
        if self._file is not None:
            self._spawn("mesh", "join by file", self._file.run(), ends=True)

    def facts(self) -> dict[str, Any]:
        """What status says: where the authority's key is, and how many wait to be let in."""
        here = self._who.node.authority_key is not None
        return {"authority": "here" if here else "elsewhere", "join_requests": self._inviting.waiting}

    def _tell(self, kind: str, fields: dict[str, Any]) -> None:
        self._events.append({"source": "mesh", **fields, "kind": kind})
