"""Where each list's rows come from, and the words by which a filter finds a row. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from bzzzd.hap.values import filters
from bzzzd.hap.values.chronicle import Event
from bzzzd.hap.values.model import Model
from bzzzd.hap.values.shelf import Branch
from bzzzd.hap.values.talk import Thread
from bzzzd.hap.values.things import Agent, Need, Peer, Service, Task
from bzzzd.hap.words import occupied

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
    return (
        row.id,
        row.role,
        row.capabilities,
        row.node,
        "attached" if row.attached else "",
        occupied(row.attached, row.load, row.slots).word,
    )


def _peer(row: Peer) -> Words:
    state = "connected" if row.connected else "away"
    return (row.id, row.name, row.role, row.addresses, row.how, state)


def _service(row: Service) -> Words:
    return (row.id, row.state, row.detail)


def _thread(row: Thread) -> Words:
    mine = "me mine" if row.for_me else ""
    return (row.id, row.task, row.subject, row.participants, row.last_kind, row.last_by, row.state, mine)


def _branch(row: Branch) -> Words:
    return (row.id,)  # the tree is filtered when it is grown, before this


def _event(row: Event) -> Words:
    return (row.source, row.kind, row.text, row.level, row.target)


# A list's rows in the order in which they are shown. Tasks are ordered once, when they change (``lists.py``).
ROWS: Mapping[str, Callable[[Model], Iterable[Row]]] = {
    "inbox": lambda model: model.needs,
    "tasks": lambda model: (model.tasks[id] for id in model.order),
    "threads": lambda model: (model.talk.threads[id] for id in model.talk.order),
    "context": lambda model: model.shelf.rows.values(),
    "agents": lambda model: model.agents,
    "peers": lambda model: model.peers,
    "health": lambda model: model.health.services,
    "events": lambda model: model.events,
    "logs": lambda model: model.logbook.rows,
}
ARRANGED = frozenset({"context", "logs"})
"""Lists whose rows are chosen when they or the filter change, because there may be thousands."""
_WORDS: Mapping[str, Callable[[Any], Words]] = {
    "inbox": _need,
    "tasks": _task,
    "threads": _thread,
    "context": _branch,
    "agents": _agent,
    "peers": _peer,
    "health": _service,
    "events": _event,
}


def passes(view: str, row: Row, filter: str) -> bool:
    """Whether the row passes the filter (``filters.py``)."""
    if not filter.strip() or view in ARRANGED:
        return True
    parts = _WORDS[view](row)
    text = " ".join(part if isinstance(part, str) else " ".join(part) for part in parts).casefold()
    return filters.holds(view, row, text, filter)
