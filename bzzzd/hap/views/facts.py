"""What is known about one row, as labelled facts: the pane beside a wide list, and the pages of agents and peers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bzzzd.hap import words
from bzzzd.hap.links import block
from bzzzd.hap.rows import Row, Segment
from bzzzd.hap.text import fit
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.things import Agent, Need, Peer, Service, Task
from bzzzd.hap.views import browser, events, logs, threads
from bzzzd.hap.views.mesh import peer_sign

Fact = tuple[str, Segment]
_LABEL = 12


def facts_of(model: Model, kind: str, id: str) -> tuple[str, tuple[Fact, ...]]:
    """The title and the facts of a row; an empty title when it is gone."""
    if kind == "tasks":
        task = model.tasks.get(id)
        return (task.title or task.id, _task(model, task)) if task else ("", ())
    if kind == "inbox":
        need = next((row for row in model.needs if row.id == id), None)
        return (need.title, _need(model, need)) if need else ("", ())
    if kind == "agents":
        agent = next((row for row in model.agents if row.id == id), None)
        return (agent.id, _agent(model, agent)) if agent else ("", ())
    if kind == "peers":
        peer = next((row for row in model.peers if row.id == id), None)
        return (peer.name or peer.id, _peer(model, peer)) if peer else ("", ())
    if kind in _ROOMS:
        return _ROOMS[kind](model, id)
    service = next((row for row in model.health.services if row.id == id), None)
    return (service.id, _service(model, service)) if service else ("", ())


def _when(model: Model, at: float) -> Segment:
    if at <= 0:
        return ("dim", "unknown")
    return ("base", f"{words.clock(at, model.now, model.utc_offset)}, {words.ago(model.now - at)}")


def _or_any(value: str) -> Segment:
    return ("base", value) if value else ("dim", "any")


def _task(model: Model, task: Task) -> tuple[Fact, ...]:
    sign = words.task_sign(task.state)
    facts: list[Fact] = [("state", (sign.style, f"{sign.sign} {sign.word}"))]
    if task.reason:
        facts.append(("reason", ("warn", task.reason)))
    facts += [
        ("agent", ("base", task.agent) if task.agent else ("dim", "nobody yet")),
        ("role", _or_any(task.role)),
        ("capability", _or_any(task.capability)),
        ("priority", ("base", f"{task.priority} of 0 to 9")),
        ("project", ("base", task.project)),
        ("author", ("base", task.author)),
        ("created", _when(model, task.created)),
        ("updated", _when(model, task.updated)),
    ]
    if task.progress is not None:
        shown = words.percent(task.progress.done, task.progress.total)
        facts.append(("progress", ("base", " ".join(part for part in (shown, task.progress.note) if part))))
    if task.strikes:
        facts.append(("strikes", ("warn", f"{task.strikes} of 3")))
    if task.retry_of:
        facts.append(("retry of", ("base", task.retry_of)))
    if task.address:
        facts.append(("decision", ("info", task.address)))
    facts.append(("id", ("dim", task.id)))
    return tuple(facts)


def _need(model: Model, need: Need) -> tuple[Fact, ...]:
    sign = words.need_sign(need.kind, need.risk)
    left: Segment = ("warn", words.left(need.expires - model.now)) if need.expires else ("dim", "no end")
    return (
        ("state", (sign.style, f"{sign.sign} {sign.word}")),
        ("from", ("base", need.by)),
        ("since", _when(model, need.at)),
        ("time left", left),
        ("risk", ("warn" if need.risk == "high" else "base", need.risk)),
        ("id", ("dim", need.id)),
    )


def _agent(model: Model, agent: Agent) -> tuple[Fact, ...]:
    sign = words.occupied(agent.attached, agent.load, agent.slots)
    return (
        ("state", (sign.style, f"{sign.sign} {sign.word}")),
        ("role", ("base", agent.role)),
        ("can do", ("base", ", ".join(agent.capabilities)) if agent.capabilities else ("dim", "nothing advertised")),
        ("load", ("base", f"{agent.load:g} of {words.plural(agent.slots, 'slot')}")),
        ("node", ("base", f"{agent.node} (this one)" if agent.local else agent.node)),
        ("kind", ("base", agent.binary_type)),
        ("since", _when(model, agent.since)),
        *(("works on", ("info", _working(task))) for task in _held(model, agent.id)),
    )


def _held(model: Model, agent: str) -> list[Task]:
    """What an agent holds now."""
    return [
        task for task in model.tasks.values() if task.agent == agent and task.state in ("working", "input_required")
    ]


def _working(task: Task) -> str:
    share = words.percent(task.progress.done, task.progress.total) if task.progress is not None else ""
    note = task.progress.note if task.progress is not None else ""
    waits = "waits for an answer" if task.state == "input_required" else ""
    return ", ".join(part for part in (task.title or task.id, share, note, waits) if part)


def _peer(model: Model, peer: Peer) -> tuple[Fact, ...]:
    sign = peer_sign(peer)
    return (
        ("state", (sign.style, f"{sign.sign} {sign.word}")),
        ("node", ("base", peer.name)),
        ("role", ("base", peer.role)),
        ("peer id", ("base", peer.id)),
        ("round trip", ("base", f"{peer.rtt_ms:.1f} ms") if peer.rtt_ms is not None else ("dim", "not measured")),
        ("found by", ("base", peer.how)),
        ("software", ("base", peer.agent_version)),
        ("clock", ("base", f"{peer.skew_s:+.1f} s") if peer.skew_s is not None else ("dim", "not compared")),
        ("traffic", ("base", f"{words.size(peer.received)} in, {words.size(peer.sent)} out")),
        ("since", _when(model, peer.since)),
        ("agents", ("base", ", ".join(_agents_of(model, peer.name)))),
        *(("address", ("info", address)) for address in peer.addresses[:8]),
    )


def _agents_of(model: Model, node: str) -> list[str]:
    """The agents of a node, with how many tasks each has."""
    found = [agent for agent in model.agents if node and agent.node == node and agent.attached]
    return [f"{agent.id} {agent.load:g}/{agent.slots}" for agent in found]


def _service(model: Model, service: Service) -> tuple[Fact, ...]:
    sign = words.service_sign(service.state)
    return (
        ("state", (sign.style, f"{sign.sign} {sign.word}")),
        ("detail", ("base", service.detail)),
        ("needs", ("base", ", ".join(service.depends)) if service.depends else ("dim", "nothing")),
        ("since", _when(model, service.since)),
    )


def _of_thread(model: Model, id: str) -> tuple[str, tuple[Fact, ...]]:
    thread = model.talk.threads.get(id)
    return (threads.name(model, thread), threads.facts(model, thread)) if thread is not None else ("", ())


def _of_place(model: Model, id: str) -> tuple[str, tuple[Fact, ...]]:
    row = model.shelf.rows.get(id)
    return (row.name, browser.facts(model, row)) if row is not None else ("", ())


def _of_event(model: Model, id: str) -> tuple[str, tuple[Fact, ...]]:
    event = next((row for row in model.events if row.id == id), None)
    return (event.text, events.facts(model, event)) if event is not None else ("", ())


def _of_line(model: Model, id: str) -> tuple[str, tuple[Fact, ...]]:
    line = next((row for row in model.logbook.lines if row.id == id), None)
    return (line.text, logs.facts(model, line)) if line is not None else ("", ())


_ROOMS: Mapping[str, Callable[[Model, str], tuple[str, tuple[Fact, ...]]]] = {
    "threads": _of_thread,
    "context": _of_place,
    "events": _of_event,
    "logs": _of_line,
}


def fact_rows(facts: tuple[Fact, ...], columns: int) -> tuple[Row, ...]:
    """The facts as rows; long values go on below themselves."""
    rows: list[Row] = []
    for label, (style, value) in facts:
        if not value:
            continue
        for number, line in enumerate(block(value, max(1, columns - _LABEL - 1), style, style)):
            rows.append((("dim", " " + fit(label if number == 0 else "", _LABEL)), *line))
    return tuple(rows)
