"""Looking at a node: status, health, peers, agents, the doctor's findings, and the last lines of the log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bzzzd import __version__
from bzzzd.daemon.checks.finding import Finding
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.happenings import Happenings
from bzzzd.daemon.work.agents import AgentBook
from bzzzd.errors import BzzzError
from bzzzd.rpc.access import guest, kinds
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.runtime.services import ServiceManager
from bzzzd.slurp.ledger import Ledger

_LOG_LINES: Final = 200


class AgentParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: Annotated[str, Meta(max_length=64)]


class LogParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``after`` is the ``number`` of an earlier answer: only what came since; 0 gives the newest."""

    lines: Annotated[int, Meta(ge=1, le=2000)] = _LOG_LINES
    after: Annotated[int, Meta(ge=0)] = 0


class StatusDesk:
    """``facts()`` gives what the node knows of itself, ``peers()`` the mesh's rows.

    ``checks`` are the doctor's looks at this machine, ``asks`` those at others.
    """

    def __init__(
        self,
        manager: ServiceManager,
        ledger: Ledger,
        agents: AgentBook,
        gate: Gate,
        *,
        facts: Callable[[], dict[str, Any]],
        peers: Callable[[], Sequence[dict[str, Any]]],
        logs: Callable[[int, int], tuple[list[str], int]],
        checks: Sequence[Callable[[], list[Finding]]],
        asks: Sequence[Callable[[], Awaitable[list[Finding]]]] = (),
        events: Happenings,
        agent_events: Stream,
        started: float,
    ) -> None:
        self._manager = manager
        self._ledger = ledger
        self._agents = agents
        self._gate = gate
        self._facts = facts
        self._peers = peers
        self._logs = logs
        self._checks = checks
        self._asks = asks
        self._events = events
        self._agent_events = agent_events
        self._started = started

    async def status(self, call: Any, params: NoParams) -> dict[str, Any]:
        """Whether the node is ready, and how much there is of everything."""
        self._gate.check(call.caller, "status", "task", "read")
        facts = self._facts()
        try:
            ledger = await self._ledger.status()
            tasks, dead, term = dict(ledger.counts), ledger.dead_letters, ledger.term
            facts |= {"durability": ledger.durability, "standby": ledger.standby}
        except BzzzError as error:
            tasks, dead, term = {}, 0, 0
            facts |= {"durability": "unknown", "standby": ""}
            facts["warnings"] = [*facts["warnings"], f"the ledger does not answer: {error.message}"]
        reason = self._manager.not_ready()
        peers = self._peers()
        connected = sum(bool(peer["connected"]) for peer in peers)
        return {
            **facts, "build": __version__, "phase": self._manager.phases.reached, "ready": not reason, "reason": reason,
            "since": self._started, "uptime_s": round(time.time() - self._started, 3), "peers": connected,
            "peers_missing": len(peers) - connected, "agents": len(self._agents), "tasks": tasks, "dead_letters": dead,
            "term": term,
            "phases": [phase.to_map() for phase in self._manager.phases.times],
        }  # fmt: skip

    def health(self, call: Any, params: NoParams) -> dict[str, Any]:
        """One row for each service."""
        self._gate.check(call.caller, "health", "task", "read")
        reason = self._manager.not_ready()
        return {"ok": not reason, "reason": reason, "services": [row.to_map() for row in self._manager.rows()]}

    def peers(self, call: Any, params: NoParams) -> dict[str, Any]:
        """The nodes that this one is connected to, or keeps trying to reach."""
        self._gate.check(call.caller, "peers", "task", "read")
        return {"peers": list(self._peers())}

    def agent_list(self, call: Any, params: NoParams) -> dict[str, Any]:
        """Agents here and, as far as they were announced, on other nodes."""
        self._gate.check(call.caller, "agent.list", "task", "read")
        return {"agents": self._agents.rows()}

    def agent_show(self, call: Any, params: AgentParams) -> dict[str, Any]:
        """One agent."""
        self._gate.check(call.caller, "agent.show", "task", "read")
        return {"agent": self._agents.row(params.id)}

    async def doctor(self, call: Any, params: NoParams) -> dict[str, Any]:
        """What is wrong here, why, and what mends it."""
        self._gate.check(call.caller, "doctor", "task", "read")
        found: list[Finding] = []
        for check in self._checks:
            # A check reads files and the clock; the loop goes on meanwhile.
            found += await asyncio.to_thread(check)
        for ask in self._asks:
            found += await ask()
        for row in self._manager.rows():
            if not row.ok:
                found.append(("bad", f"service {row.name}", row.detail or row.state, "see: bzzz logs"))
        return {"findings": [dict(zip(("level", "what", "why", "fix"), one, strict=True)) for one in found]}

    def log_tail(self, call: Any, params: LogParams) -> dict[str, Any]:
        """The last lines of bzzzd's log, without secrets; ``number`` counts the lines since its start."""
        lines, number = self._logs(params.lines, params.after)
        return {"lines": lines, "number": number}

    def _agent_feed(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        self._gate.check(call.caller, "agent.list", "task", "read")
        return Feed(self._agent_events, None, lambda: {"agents": self._agents.rows()})

    def _event_feed(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        self._gate.check(call.caller, "health", "task", "read")
        return self._events.feed()

    def register(self, registry: Registry, streams: StreamTable) -> None:
        anybody = guest()
        registry.add(
            "status", anybody, NoParams, self.status, reads=True,
            result="{node_id, peer_id, mesh_id, build, phase, ready, reason, since, uptime_s, addresses, peers, "
            "peers_missing, agents, tasks, dead_letters, term, durability, coordinator, standby, authority, "
            "join_requests, epoch, role_keys, development, warnings, clones, phases}",
        )  # fmt: skip
        registry.add("health", anybody, NoParams, self.health, result="{ok, reason, services}", reads=True)
        registry.add("peers", anybody, NoParams, self.peers, result="{peers}", reads=True)
        registry.add("agent.list", anybody, NoParams, self.agent_list, result="{agents}", reads=True)
        registry.add("agent.show", anybody, AgentParams, self.agent_show, result="{agent}", reads=True)
        registry.add("doctor", anybody, NoParams, self.doctor, result="{findings}", reads=True)
        registry.add(
            "logs.tail", kinds("admin", "person"), LogParams, self.log_tail, result="{lines, number}", reads=True
        )
        streams.add("events", anybody, self._event_feed, "what happens to services and the mesh")
        streams.add("agents", anybody, self._agent_feed, "agents that come and go")
