"""The first phase of bzzzd: state folder, instance lock, and the socket that answers ``hello`` before all else is up.

What is imported here decides how soon the socket answers, so it is little; ``node.py`` has the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bzzzd import __version__
from bzzzd.config.settings import Settings
from bzzzd.identity.attach import bound_nonce
from bzzzd.identity.caller import Caller
from bzzzd.rpc.limits import Limits
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.server import RpcServer
from bzzzd.rpc.session import PeerCred, Session
from bzzzd.rpc.streams import StreamTable
from bzzzd.runtime.locks import InstanceLock
from bzzzd.runtime.phases import Phase
from bzzzd.runtime.restart import Restart
from bzzzd.runtime.services import Health, Report, ServiceManager
from bzzzd.storage.folder import prepare_folder

_LOG = logging.getLogger("bzzzd")


class Door:
    """The service ``rpc`` and what the later phases hang on it."""

    name = "rpc"
    depends = ()

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock: InstanceLock | None = None
        self._ended: Callable[[Session], None] | None = None
        self.tell: Report = _early
        self.identity: dict[str, str | None] = {"node_id": None, "mesh_id": None}
        self.node_key = b""
        """This node's public key, once it is known: what people and agents sign says that they attached here."""
        self.registry = Registry(starting=True)
        self.streams = StreamTable()
        self.manager = ServiceManager("bzzzd", report=self._report)
        self.restart = Restart()
        limits = settings.config.limits
        self.server = RpcServer(
            self.registry,
            hello=self._hello,
            guest=_guest,
            streams=self.streams,
            limits=Limits(
                max_connections=limits.max_connections,
                max_connections_per_uid=max(1, limits.max_connections * 3 // 4),
                max_in_flight=limits.max_inflight,
                max_frame=limits.max_frame_bytes,
            ),
            on_close=self._closed,
            bind_nonce=self._nonce,
        )
        self.manager.add(self, Phase.CONFIGURATION)

    async def start(self) -> None:
        state = prepare_folder(self._settings.state_dir)
        self._lock = InstanceLock(state, "bzzzd", self._settings.config.agent.id)
        self._lock.acquire()
        await self.server.serve(Path(self._settings.socket))

    async def stop(self) -> None:
        await self.server.close()
        if self._lock is not None:
            self._lock.release()

    def health(self) -> Health:
        return Health(detail=f"{len(self.server.sessions)} sessions on {self._settings.socket}")

    def complete(self, ended: Callable[[Session], None]) -> None:
        """Every method is listed: an unknown one is now a caller's mistake. ``ended`` hears of sessions that close."""
        self._ended = ended
        self.registry.starting = False

    def _hello(self) -> dict[str, Any]:
        return {"build": __version__, "phase": self.manager.phases.reached, **self.identity}

    def _nonce(self, salt: bytes) -> bytes:
        return bound_nonce(self.node_key, salt)

    def _closed(self, session: Session) -> None:
        if self._ended is not None:
            self._ended(session)

    def _report(self, event: str, fields: dict[str, Any]) -> None:
        self.tell(event, fields)


def _early(event: str, fields: dict[str, Any]) -> None:
    """What happens before the log is set up: a line of the standard library's."""
    words = " ".join(f"{key}={value}" for key, value in fields.items() if key != "exc_info")
    _LOG.info("%s %s", event, words, exc_info=fields.get("exc_info"))


def _guest(peer: PeerCred) -> Caller:
    return Caller(peer.uid, peer.gid, peer.pid)
