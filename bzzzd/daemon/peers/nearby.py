"""Nodes on the local network, as the daemon uses multicast DNS: begun when the node is up, and again where it moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog

from bzzzd.errors import BzzzError
from bzzzd.mesh.mdns import Mdns
from bzzzd.mesh.mesh import Mesh
from bzzzd.runtime.services import Health

# Its questions go out at 0, 1, 3 and 7 s, and an answer may take 3 s.
_HEARD_AFTER_S: Final = 10.0


class Nearby:
    """``spawn(service, name, work, ends=…)`` runs a background task."""

    name = "mdns"
    depends = ("mesh",)

    def __init__(self, mesh: Mesh, mesh_id: str, spawn: Callable[..., Any]) -> None:
        self._mesh = mesh
        self._mesh_id = mesh_id
        self._spawn = spawn
        self._mdns: Mdns | None = None
        self._turn = asyncio.Lock()
        self._stopped = False
        self._since = 0.0
        self.failure = ""

    @property
    def others(self) -> dict[str, str]:
        """Nodes of other meshes on this network: a mark of the mesh by peer id."""
        return self._mdns.others if self._mdns is not None else {}

    @property
    def heard(self) -> frozenset[str] | None:
        """The peer ids of all nodes heard; None while it has not listened for long enough to say."""
        if self._mdns is None or time.monotonic() - self._since < _HEARD_AFTER_S:
            return None
        return self._mdns.heard

    @property
    def working(self) -> bool:
        return self._mdns is not None

    async def start(self) -> None:
        # Its library takes a moment to import, and nothing waits for it.
        self.moved(self._mesh.addresses)

    async def stop(self) -> None:
        self._stopped = True
        async with self._turn:
            await self._end()

    def health(self) -> Health:
        if self.failure:
            return Health(degraded=True, detail=f"no multicast here: {self.failure}")
        if self._mdns is None:
            return Health(detail="this node listens on its own machine alone, so there is nobody to find")
        return Health(detail=f"{self._mdns.near} nodes of this mesh on the network, {len(self.others)} of others")

    def moved(self, addresses: Sequence[str]) -> None:
        """The node listens at these addresses now."""
        if not self._stopped:
            self._spawn(self.name, "announcing", self._begin(tuple(addresses)), ends=True)

    async def _begin(self, addresses: Sequence[str]) -> None:
        async with self._turn:
            await self._end()
            if self._stopped:
                return
            mdns = Mdns(self._mesh_id, self._mesh.peer_id, self._found)
            try:
                self._mdns = mdns if await mdns.start(addresses) else None
                self._since = time.monotonic()
                self.failure = ""
            except Exception as error:  # the library has a dozen kinds, and multicast is a help that a node can lack
                self.failure = _words(error)
                structlog.get_logger().warning("mdns_not_to_be_had", why=self.failure)
                await self._stop(mdns)

    async def _end(self) -> None:
        mdns, self._mdns = self._mdns, None
        if mdns is not None:
            await self._stop(mdns)

    @staticmethod
    async def _stop(mdns: Mdns) -> None:
        try:
            await mdns.stop()
        except Exception as error:  # nothing was left open, and who is not told goodbye finds out
            structlog.get_logger().info("mdns_goodbye_not_said", why=_words(error))

    def _found(self, peer_id: str, addresses: tuple[str, ...]) -> None:
        if not self._stopped:
            self._spawn(self.name, "telling where a node is", self._know(peer_id, addresses), ends=True)

    async def _know(self, peer_id: str, addresses: tuple[str, ...]) -> None:
        try:
            await self._mesh.know(peer_id, addresses, "mdns")
        except BzzzError as error:
            structlog.get_logger().info("mdns_peer_not_noted", peer_id=peer_id, why=error)


def _words(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
