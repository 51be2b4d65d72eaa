"""Where this node listens: the configuration's wish against the machine's addresses, now and as they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from bzzzd.config.schema import NetworkSection
from bzzzd.errors import BzzzError
from bzzzd.mesh.interfaces import AddressWatch, choose, read_interfaces
from bzzzd.mesh.mesh import Mesh
from bzzzd.runtime.services import Health

# Where netlink is denied, and after a change that could not be followed: an address that is not usable yet.
_POLL_S: Final = 30.0


class Addresses:
    """``settled(addresses)`` is called after the node began to listen elsewhere."""

    name = "addresses"
    depends = ("mesh",)

    def __init__(self, network: NetworkSection, *, spawn: Callable[..., Any]) -> None:
        self._network = network
        self._spawn = spawn
        self._watch: AddressWatch | None = None
        self._changed = asyncio.Event()
        self._wanted: tuple[str, ...] = ()
        self._mesh: Mesh | None = None
        self.settled: Callable[[Sequence[str]], None] = lambda addresses: None

    @property
    def fixed(self) -> bool:
        """Whether the configuration names every address, so that no change of the machine's matters."""
        return all(entry.startswith("/") for entry in self._network.listen)

    async def wanted(self) -> tuple[str, ...]:
        """The multiaddrs to listen on now."""
        network = self._network
        interfaces = () if self.fixed else await asyncio.to_thread(read_interfaces)
        self._wanted = choose(network.listen, network.listen_port, interfaces)
        return self._wanted

    def follow(self, mesh: Mesh) -> None:
        """The mesh whose listeners are to follow."""
        self._mesh = mesh

    async def start(self) -> None:
        if self.fixed:
            return
        try:
            self._watch = AddressWatch(self._changed.set)
        except OSError as error:
            structlog.get_logger().info("addresses_polled", why=str(error), every_s=_POLL_S)
        self._spawn(self.name, "following the addresses", self._keep())

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.close()

    def health(self) -> Health:
        if self._mesh is None or self.fixed:
            return Health(detail="as configured")
        missing = len(self._wanted) - len(self._mesh.addresses)
        had = f"{len(self._mesh.addresses)} addresses"
        return Health(detail=f"{had}, {missing} not to be had" if missing > 0 else had)

    async def _keep(self) -> None:
        while True:
            incomplete = self._mesh is not None and len(self._mesh.addresses) < len(self._wanted)
            with suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S if incomplete or self._watch is None else None):
                    await self._changed.wait()
            self._changed.clear()
            before = self._wanted
            if (await self.wanted() != before or incomplete) and self._mesh is not None:
                await self._follow(self._mesh)

    async def _follow(self, mesh: Mesh) -> None:
        before = mesh.addresses
        try:
            now = await mesh.listen_on(self._wanted)
        except BzzzError as error:
            structlog.get_logger().warning("addresses_not_followed", why=error, wanted=list(self._wanted))
            return
        if now != before:
            structlog.get_logger().info("addresses_changed", addresses=list(now))
            self.settled(now)
