"""A mesh node in a process of its own: {seed, chain, authority, mesh_id, listen, static_peers} on the first line.

It follows the topic, echoes requests, and answers one line of JSON to each line: {"do": ...}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from bzzzd.identity.grants import Trust
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.values import MeshSettings, RecordRule

ECHO, TOPIC = "/bzzz/echo/1", "news"


async def echo(peer_id: str, data: bytes) -> bytes:
    return data


async def obey(mesh: Mesh, messages: list[str], order: dict[str, Any]) -> Any:
    match order["do"]:
        case "peers":
            return [peer.peer_id for peer in mesh.peers() if peer.connected]
        case "messages":
            return messages
        case "publish":
            await mesh.publish(TOPIC, order["data"].encode())
        case "put":
            await mesh.dht_put(order["key"], order["data"].encode())
        case "get":
            found = await mesh.dht_get(order["key"])
            return None if found is None else found.decode()
        case "request":
            return (await mesh.request(order["peer_id"], ECHO, order["data"].encode())).decode()
    return "done"


async def main() -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    setup = json.loads(await lines.readline())
    trust = Trust(setup["mesh_id"], bytes.fromhex(setup["authority"]))
    messages: list[str] = []
    mesh = Mesh(
        MeshSettings(listen=tuple(setup["listen"]), static_peers=tuple(setup["static_peers"])),
        bytes.fromhex(setup["seed"]),
        [bytes.fromhex(raw) for raw in setup["chain"]],
        lambda chain: trust.admit(chain, now=time.time()),
        lambda event: None,
        {"bzzz": RecordRule(validate=lambda key, value: None, select=lambda key, values: 0)},
    )
    mesh.handle(ECHO, echo)
    mesh.subscribe(TOPIC, lambda topic, peer_id, data: messages.append(data.decode()))
    await mesh.start()
    print(json.dumps({"addresses": mesh.addresses, "peer_id": mesh.peer_id}), flush=True)
    while line := await lines.readline():
        print(json.dumps({"result": await obey(mesh, messages, json.loads(line))}), flush=True)
    await mesh.stop()


if __name__ == "__main__":
    asyncio.run(main())
