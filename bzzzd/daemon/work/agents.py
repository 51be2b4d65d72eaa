"""The book of agents: those attached to this node, and those that other nodes have told about."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from bzzzd.errors import AlreadyRunning, NotFound
from bzzzd.identity.caller import Caller
from bzzzd.identity.records import AgentRecord
from bzzzd.rpc.streams import Stream

REMOTE_KEPT: Final = 4096


class _Local(NamedTuple):
    session: object
    caller: Caller
    record: AgentRecord
    raw: bytes
    chain: tuple[bytes, ...]
    since: float


class _Remote(NamedTuple):
    record: AgentRecord
    node: str
    since: float


class AgentBook:
    """``changed`` is told each change, for the stream of agents; times are Unix seconds."""

    def __init__(self, node: str, stream: Stream, load: Callable[[str], int], clock: Callable[[], float]) -> None:
        self._node = node
        self._stream = stream
        self._load = load
        self._clock = clock
        self._local: dict[str, _Local] = {}
        self._remote: OrderedDict[str, _Remote] = OrderedDict()

    def here(self, session: object, caller: Caller, record: AgentRecord, raw: bytes, chain: tuple[bytes, ...]) -> None:
        """An agent attached; a second session of its id raises ``AlreadyRunning``."""
        held = self._local.get(caller.id)
        if held is not None and held.session is not session:
            raise AlreadyRunning(
                f"agent {caller.id} is attached already (process {held.caller.pid}); "
                "give this one another agent.id, or stop the other",
                pid=held.caller.pid,
            )
        self._local[caller.id] = _Local(session, caller, record, raw, chain, self._clock())
        self._tell(caller.id)

    def gone(self, session: object, agent_id: str) -> bool:
        """A session ended; whether it was the one that held this agent."""
        held = self._local.get(agent_id)
        if held is None or held.session is not session:
            return False
        del self._local[agent_id]
        self._stream.append({"kind": "gone", "id": agent_id, "at": self._clock()})
        return True

    def heard(self, record: AgentRecord, node: str) -> None:
        """Another node told about one of its agents; the record was checked against its grant."""
        known = self._remote.get(record.id)
        if known is not None and known.record.timestamp >= record.timestamp:
            return
        self._remote[record.id] = _Remote(record, node, self._clock())
        self._remote.move_to_end(record.id)
        while len(self._remote) > REMOTE_KEPT:
            self._remote.popitem(last=False)
        self._tell(record.id)

    def records(self) -> list[tuple[bytes, tuple[bytes, ...]]]:
        """Signed records and grant chains of the agents attached here, to be announced."""
        return [(local.raw, local.chain) for local in self._local.values()]

    def local_keys(self) -> list[bytes]:
        """The keys of the agents attached here."""
        return [local.caller.key for local in self._local.values() if local.caller.key is not None]

    def regranted(self, key: bytes, chain: tuple[bytes, ...]) -> None:
        """An agent here has a new grant; its session goes on."""
        for id, local in self._local.items():
            if local.caller.key == key:
                self._local[id] = local._replace(chain=chain)
                return

    def __len__(self) -> int:
        return len(self._local)

    def rows(self) -> list[dict[str, Any]]:
        rows = [self._local_row(local) for local in self._local.values()]
        rows += [self._remote_row(remote) for id, remote in self._remote.items() if id not in self._local]
        return sorted(rows, key=lambda row: str(row["id"]))

    def row(self, agent_id: str) -> dict[str, Any]:
        if agent_id in self._local:
            return self._local_row(self._local[agent_id])
        if agent_id in self._remote:
            return self._remote_row(self._remote[agent_id])
        raise NotFound(f"no agent is called {agent_id}; see: bzzz agent list")

    def _tell(self, agent_id: str) -> None:
        self._stream.append({"kind": "here", "agent": self.row(agent_id), "at": self._clock()})

    def _local_row(self, local: _Local) -> dict[str, Any]:
        return _row(local.record, self._node, local.since, load=self._load(local.caller.id), here=True) | {
            "role": local.caller.role,
            "capabilities": sorted(local.caller.capabilities),
        }

    def _remote_row(self, remote: _Remote) -> dict[str, Any]:
        return _row(remote.record, remote.node, remote.since, load=0, here=False)


def _row(record: AgentRecord, node: str, since: float, *, load: int, here: bool) -> dict[str, Any]:
    return {
        "id": record.id, "role": record.role, "capabilities": sorted(record.capabilities), "node": node,
        "attached": here, "local": here, "slots": record.slots, "load": load, "since": since,
        "binary_type": record.binary_type, "version": record.version,
    }  # fmt: skip
