"""The RPC server: listens on a unix socket, keeps its sessions, and ends them in order."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bzzzd.errors import NotReady, Overloaded
from bzzzd.rpc.access import Caller
from bzzzd.rpc.builtin import Builtin
from bzzzd.rpc.connection import Connection
from bzzzd.rpc.limits import Counters, Limits
from bzzzd.rpc.listen import Bound, bind
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.session import Bind, PeerCred, Session
from bzzzd.rpc.streams import StreamTable


class RpcServer:
    """Serves the methods of ``registry`` and the streams of ``streams``.

    ``hello()`` gives the daemon's part of the greeting. ``guest(peer)`` makes the frozen caller of a session that has
    proved nothing. ``on_open`` and ``on_close`` hear of sessions; a closed one still has the caller that it had.
    ``bind_nonce(salt)`` makes the nonce that a session signs; without it the nonce is the random salt.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        hello: Callable[[], Mapping[str, Any]],
        guest: Callable[[PeerCred], Caller],
        streams: StreamTable | None = None,
        limits: Limits | None = None,
        on_open: Callable[[Session], None] | None = None,
        on_close: Callable[[Session], None] | None = None,
        bind_nonce: Bind | None = None,
    ) -> None:
        self.registry = registry
        self.streams = StreamTable() if streams is None else streams
        self.limits = limits or Limits()
        self.counters = Counters()
        self._guest = guest
        self._on_open = on_open
        self._on_close = on_close
        self._connections: set[Connection] = set()
        self._users: Counter[int] = Counter()
        self._left_over: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._bound: Bound | None = None
        self._server: asyncio.AbstractServer | None = None
        self._closing = False
        Builtin(registry, self.streams, hello, bind_nonce).register()

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Everybody who is connected."""
        return tuple(found.session for found in self._connections if found.session is not None)

    async def serve(self, path: Path, *, mode: int = 0o660, group: str | None = None) -> None:
        """Listen on ``path``; raises ``AlreadyRunning`` or ``ConfigInvalid`` (see ``listen.bind``)."""
        loop = asyncio.get_running_loop()
        self._bound = bind(path, mode=mode, group=group)
        try:
            self._server = await loop.create_unix_server(lambda: Connection(self, loop), sock=self._bound.sock)
        except BaseException:
            self._bound.sock.close()
            self._bound.remove()
            raise

    async def close(self, grace_s: float = 5.0) -> None:
        """Accept nobody, wait up to ``grace_s`` for commands in work, then end every connection."""
        self._closing = True
        if self._bound is not None:
            self._bound.remove()
        if self._server is not None:
            self._server.close()
        working = self._working()
        if working:
            await asyncio.wait(working, timeout=grace_s)
        for connection in tuple(self._connections):
            connection.close()
        working = self._left_over.union(*(found.tasks for found in self._connections))
        for task in working:
            task.cancel()
        if working:
            await asyncio.wait(working, timeout=grace_s)
        if self._server is not None:
            await self._server.wait_closed()

    def _working(self) -> set[asyncio.Task[None]]:
        commands = {task for found in self._connections for task, reads in found.tasks.items() if not reads}
        return commands | self._left_over

    # What connections call.

    def guest(self, peer: PeerCred) -> Caller:
        return self._guest(peer)

    def admit(self, connection: Connection, peer: PeerCred) -> int:
        """Count a connection in; raises ``Overloaded`` over a limit and ``NotReady`` while stopping."""
        if self._closing:
            raise NotReady("bzzzd is stopping; try again when it has started")
        limits = self.limits
        if len(self._connections) >= limits.max_connections:
            raise Overloaded(
                f"bzzzd has {limits.max_connections} connections, the most there can be (limits.max_connections)"
            )
        if self._users[peer.uid] >= limits.max_connections_per_uid:
            raise Overloaded(f"uid {peer.uid} has {self._users[peer.uid]} connections, the most one user can have")
        self._connections.add(connection)
        self._users[peer.uid] += 1
        self._numbers += 1
        self.counters.connections += 1
        return self._numbers

    def opened(self, session: Session) -> None:
        if self._on_open is not None:
            self._on_open(session)

    def lost(self, connection: Connection) -> None:
        """Count a connection out; its commands go on, and belong to the server from now on."""
        session = connection.session
        if session is None:
            return
        self._connections.discard(connection)
        self._users[session.peer.uid] -= 1
        if not self._users[session.peer.uid]:
            del self._users[session.peer.uid]
        for task, reads in connection.tasks.items():
            if not reads:
                self._left_over.add(task)
                task.add_done_callback(self._left_over.discard)
        if self._on_close is not None:
            self._on_close(session)
