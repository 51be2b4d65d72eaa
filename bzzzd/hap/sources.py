"""Where each list's rows come from, and the words by which a filter finds a row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from bzzzd.hap.model import Model
from bzzzd.hap.things import Agent, Need, Peer, Service, Task

Words = tuple[str | tuple[str, ...], ...]


class Row(Protocol):
    """Anything that a list shows: it has an id that stays while the row lives."""

    @property
    def id(self) -> str: ...


def _need(row: Need) -> Words:
    return (row.title, row.kind, row.by, row.risk, row.target)


def _task(row: Task) -> Words:
    return (row.title, row.id, row.state, row.agent, row.role, row.capability, row.project, row.author)


def _agent(row: Agent) -> Words:
    return (row.id, row.role, row.capabilities, row.node, "attached" if row.attached else "away")


def _peer(row: Peer) -> Words:
    state = "connected" if row.connected else "away"
    return (row.id, row.name, row.role, row.addresses, row.how, state)


def _service(row: Service) -> Words:
    return (row.id, row.state, row.detail)


def _unnamed(row: Row) -> Words:
    return (row.id,)


# A list's rows in the order in which they are shown. Tasks are ordered once, when they change (``lists.py``).
ROWS: Mapping[str, Callable[[Model], Iterable[Row]]] = {
    "inbox": lambda model: model.needs,
    "tasks": lambda model: (model.tasks[id] for id in model.order),
    "threads": lambda model: (),
    "context": lambda model: (),
    "agents": lambda model: model.agents,
    "peers": lambda model: model.peers,
    "health": lambda model: model.health.services,
    "events": lambda model: (),
    "logs": lambda model: (),
}
_WORDS: Mapping[str, Callable[[Any], Words]] = {
    "inbox": _need,
    "tasks": _task,
    "threads": _unnamed,
    "context": _unnamed,
    "agents": _agent,
    "peers": _peer,
    "health": _service,
    "events": _unnamed,
    "logs": _unnamed,
}


def passes(view: str, row: Row, filter: str) -> bool:
    """Whether every word of the filter stands somewhere in the row."""
    words = filter.casefold().split()
    if not words:
        return True
    parts = _WORDS[view](row)
    text = " ".join(part if isinstance(part, str) else " ".join(part) for part in parts).casefold()
    return all(word in text for word in words)
