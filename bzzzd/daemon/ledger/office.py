"""Who keeps the mesh's ledger, as the charter says, and the way there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bzzzd.daemon.ledger.wire import LEDGER_PROTOCOL
from bzzzd.daemon.membership.charter import Charter
from bzzzd.errors import NotFound, Unavailable
from bzzzd.identity.charter import Document
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import peer_id_of
from bzzzd.slurp.coordinator import Coordinator, read_coordinator

_HOW: Final = "bzzz peers shows who is connected; when it is gone for good, an administrator runs bzzz ledger promote"


class Office:
    """``own`` is this node's key; ``changed`` is called when another document came into force."""

    def __init__(self, charter: Charter, mesh: Mesh, own: bytes, name_of: Callable[[bytes], str]) -> None:
        self._mesh = mesh
        self._own = own
        self._name_of = name_of
        document = charter.current("coordinator")
        self.record: Coordinator | None = None if document is None else read_coordinator(document.payload)
        self.changed: Callable[[], None] = lambda: None
        charter.watch("coordinator", self._in_force)

    def _in_force(self, document: Document) -> None:
        self.record = read_coordinator(document.payload)
        self.changed()

    @property
    def here(self) -> bool:
        """Whether this node is the coordinator."""
        return self.record is not None and self.record.node == self._own

    @property
    def name(self) -> str:
        """The coordinator's id; empty while none is known."""
        return "" if self.record is None else self._name_of(self.record.node)

    @property
    def peer_id(self) -> str:
        """The coordinator's; empty while none is known."""
        return "" if self.record is None else peer_id_of(self.record.node)

    @property
    def connected(self) -> bool:
        peer_id = self.peer_id
        return any(peer.connected and peer.peer_id == peer_id for peer in self._mesh.peers())

    async def ask(self, data: bytes, timeout: float) -> bytes:
        """Ask the coordinator; raises ``Unavailable`` where it cannot be asked now."""
        if self.record is None:
            raise Unavailable("no coordinator is known here yet: this node has not heard the mesh's charter; " + _HOW)
        try:
            return await self._mesh.request(self.peer_id, LEDGER_PROTOCOL, data, timeout)
        except NotFound as error:
            if error.data.get("peer_id"):  # it does not speak the protocol: it is still starting
                raise Unavailable(f"the coordinator {self.name} is still starting; try again in a moment") from error
            raise
        except Unavailable as error:
            if error.data.get("peer_id"):
                raise Unavailable(f"the coordinator {self.name} cannot be reached; {_HOW}") from error
            raise
