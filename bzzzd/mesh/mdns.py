"""Multicast DNS: finds nodes on the local network, and is found, as the service ``_bzzz._tcp``.

What is told is a hash of the mesh id, the peer id and where it listens; nothing else, and nobody is trusted for
it: who answers there must prove the peer id, and then show a grant. The library is imported when this starts,
on the asyncio side; libp2p's own discovery blocks for 1.7 s and tells addresses that lead nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from bzzzd.errors import BadInput
from bzzzd.mesh.interfaces import beyond_this_machine
from bzzzd.mesh.peer_id import key_of

SERVICE: Final = "_bzzz._tcp.local."
MOST_FOUND: Final = 256
_ASK_MS: Final = 3000

# Called with (peer id, addresses): where a node of this mesh is; without addresses it has said goodbye.
Found = Callable[[str, tuple[str, ...]], None]


def mesh_mark(mesh_id: str) -> str:
    """What a node tells of its mesh: enough to know one's own, and nothing to learn the id from."""
    return hashlib.sha256(b"bzzz/mdns\0" + mesh_id.encode()).hexdigest()[:16]


def places(addresses: Sequence[str]) -> tuple[list[str], int]:
    """The hosts to announce, and their port: that of the first address which other machines can reach."""
    parts = [address.split("/") for address in addresses if beyond_this_machine(address)]
    port = int(parts[0][4]) if parts else 0
    return [one[2] for one in parts if int(one[4]) == port], port


def read_properties(properties: dict[bytes, bytes | None]) -> tuple[str, str] | None:
    """Mesh mark and peer id of an announcement; ``None`` where it is none of ours."""
    try:
        mark, peer_id = ((properties.get(name) or b"").decode("ascii") for name in (b"mesh", b"peer"))
        key_of(peer_id)
    except (UnicodeDecodeError, BadInput):
        return None
    return (mark, peer_id) if len(mark) == 16 else None


class Mdns:
    """One node's announcement, and its ear. Start it on the loop; ``stop`` says goodbye."""

    def __init__(self, mesh_id: str, peer_id: str, found: Found) -> None:
        self._mark = mesh_mark(mesh_id)
        self._peer_id = peer_id
        self._found = found
        self._zeroconf: Any = None
        self._browser: Any = None
        self._asking: set[asyncio.Task[None]] = set()
        self._names: dict[str, tuple[str, str]] = {}

    @property
    def others(self) -> dict[str, str]:
        """Nodes of other meshes that were heard here: mesh mark by peer id."""
        return {peer_id: mark for mark, peer_id in self._names.values() if mark != self._mark}

    @property
    def heard(self) -> frozenset[str]:
        """The peer ids of all nodes that are announced on the local network, of whatever mesh."""
        return frozenset(peer_id for _, peer_id in self._names.values())

    @property
    def near(self) -> int:
        """How many nodes of this mesh are announced on the local network."""
        return sum(mark == self._mark for mark, _ in self._names.values())

    async def start(self, addresses: Sequence[str]) -> bool:
        """Announce these multiaddrs and listen for others; ``False`` when none of them leads out of this machine.

        Raises ``OSError`` where multicast is not to be had.
        """
        hosts, port = places(addresses)
        if not hosts:
            return False
        library = await asyncio.to_thread(importlib.import_module, "zeroconf")
        aio = await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        # It tells the log of every network that is unreachable for a moment; here that is told as addresses change.
        logging.getLogger("zeroconf").setLevel(logging.CRITICAL)
        inet4 = [host for host in hosts if ":" not in host]
        version = library.IPVersion.V4Only if inet4 else library.IPVersion.V6Only
        self._zeroconf = aio.AsyncZeroconf(interfaces=inet4 or hosts, ip_version=version)
        info = aio.AsyncServiceInfo(
            SERVICE,
            f"{self._peer_id}.{SERVICE}",
            port=port,
            properties={"mesh": self._mark, "peer": self._peer_id},
            server=f"{self._peer_id}.local.",
            parsed_addresses=hosts,
        )
        # A peer id is nobody else's, so there is no need to ask for half a second whether the name is free.
        await (await self._zeroconf.async_register_service(info, cooperating_responders=True))
        self._browser = aio.AsyncServiceBrowser(self._zeroconf.zeroconf, SERVICE, handlers=[self._heard])
        return True

    async def stop(self) -> None:
        for task in self._asking:
            task.cancel()
        browser, zeroconf = self._browser, self._zeroconf
        self._browser = self._zeroconf = None
        if zeroconf is None:
            return
        try:
            if browser is not None:
                await browser.async_cancel()
            await zeroconf.async_unregister_all_services()
        finally:
            await zeroconf.async_close()  # its sockets, whatever became of the goodbye

    def _heard(self, zeroconf: Any, service_type: str, name: str, state_change: Any) -> None:
        if name == f"{self._peer_id}.{SERVICE}":
            return
        if state_change.name == "Removed":
            gone = self._names.pop(name, None)
            if gone is not None and gone[0] == self._mark:
                self._found(gone[1], ())
        elif len(self._asking) < MOST_FOUND and (name in self._names or len(self._names) < MOST_FOUND):
            task = asyncio.get_running_loop().create_task(self._ask(zeroconf, name), name="mdns-ask")
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _ask(self, zeroconf: Any, name: str) -> None:
        aio = importlib.import_module("zeroconf.asyncio")
        info = aio.AsyncServiceInfo(SERVICE, name)
        if not await info.async_request(zeroconf, _ASK_MS):
            return
        read = read_properties(info.properties)
        if read is None or name != f"{read[1]}.{SERVICE}":
            return
        self._names[name] = read
        if read[0] == self._mark and info.port:
            hosts = info.parsed_addresses()[:16]
            self._found(read[1], tuple(f"/ip{6 if ':' in host else 4}/{host}/tcp/{info.port}" for host in hosts))
