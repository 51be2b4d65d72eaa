"""Has a swarm listen on exactly the addresses that are wanted, as these change."""

from __future__ import annotations

from collections.abc import Sequence

from bzzzd.errors import P2PInitFailed
from bzzzd.mesh.network import MemberSwarm, check_free, parse_listen


async def listen_on(swarm: MemberSwarm, wanted: Sequence[str], *, some: bool) -> None:
    """Open what is missing, close what is not wanted.

    Raises the first fault (``P2PInitFailed``), unless ``some`` is enough and one could be had.
    """
    fault: P2PInitFailed | None = None
    parsed = [parse_listen(text) for text in wanted]
    for address, endpoint in parsed:
        if str(address) in swarm.listeners:
            continue
        try:
            check_free(address, endpoint)
            await swarm.listen(address)
            if str(address) not in swarm.listeners:
                raise P2PInitFailed(f"cannot listen on {address}; check that this machine has the address")
        except P2PInitFailed as error:
            if not some:
                raise
            fault = fault or error
    for gone in set(swarm.listeners) - {str(address) for address, _ in parsed}:
        await swarm.stop_listening(gone)
    if fault is not None and not swarm.listeners:
        raise fault
