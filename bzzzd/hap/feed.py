"""What the daemon sends, turned into the model's values: the border where text is cleaned.

Nothing that came over the socket passes this file as it was: strings are cleaned and bounded, numbers
are numbers, and a field that is missing or of another type gives its default, so that a newer or an older
daemon, or a hostile title, cannot break a screen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgpack
from msgspec import Struct

from bzzzd.hap.model import (
    Agent,
    Content,
    Fault,
    Health,
    History,
    Me,
    Peer,
    Progress,
    Service,
    Shown,
    Status,
    Step,
    Task,
    Version,
)
from bzzzd.hap.news import News, news
from bzzzd.hap.text import clean, clean_block

CONTENT_LIMIT = 1_000_000
_MAX_ROWS = 5000


class TaskChanged(Struct, frozen=True):
    task: Task


class TaskProgressed(Struct, frozen=True):
    id: str
    progress: Progress


class Happened(Struct, frozen=True):
    """Something about the mesh or a service changed; ``what`` is its kind, ``news`` its sentence if it has one."""

    what: str
    news: News | None = None


Item = TaskChanged | TaskProgressed | Happened


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: object, default: float = 0.0) -> float:
    good = isinstance(value, int | float) and value == value and abs(value) < 1e15
    return float(value) if good and isinstance(value, int | float) else default


def _whole(value: object, default: int = 0) -> int:
    return int(_number(value, default))


def _names(value: object) -> tuple[str, ...]:
    return tuple(clean(one, 200) for one in value[:200]) if isinstance(value, list | tuple) else ()


def _rows(value: object, key: str) -> Iterable[Mapping[str, Any]]:
    found = _map(value).get(key) if isinstance(value, Mapping) else value
    if isinstance(found, Mapping):
        found = list(found.values())
    return [row for row in found[:_MAX_ROWS] if isinstance(row, Mapping)] if isinstance(found, list | tuple) else []


def progress(value: object) -> Progress | None:
    row = _map(value)
    if not row:
        return None
    return Progress(done=_number(row.get("done")), total=_number(row.get("total")), note=clean(row.get("note"), 200))


def task(row: Mapping[str, Any]) -> Task:
    return Task(
        id=clean(row.get("id"), 64),
        state=clean(row.get("state"), 24) or "submitted",
        title=clean(row.get("title"), 500),
        agent=clean(row.get("agent"), 64),
        role=clean(row.get("role"), 64),
        capability=clean(row.get("capability"), 64),
        priority=_whole(row.get("priority"), 5),
        project=clean(row.get("project"), 64),
        author=clean(row.get("author"), 64),
        created=_number(row.get("created")),
        updated=_number(row.get("updated")),
        strikes=_whole(row.get("strikes")),
        address=clean(row.get("address"), 4000),
        reason=clean(row.get("reason"), 500),
        retry_of=clean(row.get("retry_of"), 64),
        progress=progress(row.get("progress")),
    )


def tasks(value: object) -> tuple[Task, ...]:
    """A task list or a snapshot of the task stream."""
    return tuple(found for found in (task(row) for row in _rows(value, "tasks")) if found.id)


def agents(value: object) -> tuple[Agent, ...]:
    return tuple(
        Agent(
            id=clean(row.get("id"), 64),
            role=clean(row.get("role"), 64),
            capabilities=_names(row.get("capabilities")),
            node=clean(row.get("node"), 64),
            attached=row.get("attached") is True,
            local=row.get("local") is True,
            slots=_whole(row.get("slots"), 1),
            load=_number(row.get("load")),
            since=_number(row.get("since")),
            binary_type=clean(row.get("binary_type"), 24),
        )
        for row in _rows(value, "agents")
    )


def peers(value: object) -> tuple[Peer, ...]:
    return tuple(
        Peer(
            id=clean(row.get("peer_id"), 100),
            name=clean(row.get("id"), 64),
            role=clean(row.get("role"), 64),
            addresses=_names(row.get("addresses")),
            connected=row.get("connected") is True,
            since=_number(row.get("since")),
            agent_version=clean(row.get("agent_version"), 100),
            rtt_ms=_number(row.get("rtt_ms")) if row.get("rtt_ms") is not None else None,
            how=clean(row.get("how"), 40),
            received=_whole(row.get("received")),
            sent=_whole(row.get("sent")),
            skew_s=_number(row.get("skew_s")) if row.get("skew_s") is not None else None,
        )
        for row in _rows(value, "peers")
    )


def health(value: object) -> Health:
    services = tuple(
        Service(
            id=clean(row.get("name"), 64),
            state=clean(row.get("state"), 24),
            ok=row.get("ok") is True,
            detail=clean(row.get("detail"), 500),
            since=_number(row.get("since")),
            depends=_names(row.get("depends")),
        )
        for row in _rows(value, "services")
    )
    return Health(ok=_map(value).get("ok") is True, services=services)


def status(value: object) -> Status:
    row = _map(value)
    return Status(
        node_id=clean(row.get("node_id"), 64),
        mesh_id=clean(row.get("mesh_id"), 80),
        build=clean(row.get("build"), 80),
        phase=clean(row.get("phase"), 40),
        durability=clean(row.get("durability"), 40),
        coordinator=clean(row.get("coordinator"), 80),
        development=row.get("development") is True,
        warnings=_names(row.get("warnings")),
    )


def trace(value: object) -> tuple[Step, ...]:
    return tuple(
        Step(
            at=_number(row.get("at")),
            what=clean(row.get("what"), 200),
            by=clean(row.get("by"), 100),
            detail=clean(row.get("detail"), 1000),
        )
        for row in _rows(value, "steps")
    )


def history(value: object) -> History:
    versions = tuple(
        Version(
            number=_whole(row.get("number")),
            id=clean(row.get("version_id"), 80),
            author=clean(row.get("author"), 64),
            at=_number(row.get("at")),
            size=_whole(row.get("size")),
        )
        for row in _rows(value, "versions")
    )
    return History(versions=versions, conflict=_map(value).get("conflict") is True)


def _lines(value: object, depth: int = 0) -> Iterable[str]:
    """A structured value as readable lines: the text first, then ``name: value``."""
    if depth > 6:
        yield "…"
    elif isinstance(value, Mapping):
        main = next((name for name in ("text", "answer", "summary", "body", "output") if value.get(name)), None)
        if main is not None:
            yield from _lines(value[main], depth + 1)
            if len(value) > 1:
                yield ""
        for name, inner in value.items():
            if name == main or inner in (None, "", [], {}):
                continue
            inner_lines = list(_lines(inner, depth + 1))
            if len(inner_lines) == 1:
                yield f"{name}: {inner_lines[0]}"
            else:
                yield f"{name}:"
                yield from ("  " + line for line in inner_lines)
    elif isinstance(value, list | tuple):
        for inner in value:
            first, *rest = list(_lines(inner, depth + 1)) or [""]
            yield f"- {first}"
            yield from ("  " + line for line in rest)
    elif isinstance(value, bytes):
        yield from value.decode("utf-8", "replace").split("\n")
    else:
        yield from str(value).split("\n")


def readable(content: object, content_type: str = "") -> str:
    """Content of any type as a clean block of text. MessagePack maps become readable lines."""
    if isinstance(content, bytes):
        if len(content) > CONTENT_LIMIT:
            cut = content[:CONTENT_LIMIT].decode("utf-8", "replace")
            return clean_block(cut) + f"\n… cut at {CONTENT_LIMIT} bytes; `bzzz context get` saves all of it"
        if "msgpack" in content_type or content[:1] >= b"\x80":
            with contextlib.suppress(ValueError):  # else it is text that begins with such a byte
                content = msgpack.unpackb(content, strict_map_key=False)
    return clean_block("\n".join(_lines(content))[:CONTENT_LIMIT]).strip("\n")


def content(value: object) -> Content:
    """The answer of ``context.get``, or the ``brief`` and ``decision`` of ``task.show``."""
    row = _map(value)
    kind = clean(row.get("content_type"), 80)
    body = row.get("content")
    if body is None:  # a brief comes as its map; its title stands above it
        body = {name: inner for name, inner in row.items() if name != "title"}
    return Content(
        text=readable(body, kind),
        number=_whole(row.get("number")),
        of=_whole(row.get("of")),
        version_id=clean(row.get("version_id"), 80),
        author=clean(row.get("author"), 64),
        at=_number(row.get("at")),
        content_type=kind,
        readers=_names(row.get("readers")),
        conflict=row.get("conflict") is True,
    )


def shown(value: object) -> Shown:
    row = _map(value)
    parts = {name: content(row[name]) for name in ("brief", "decision", "explanation") if _map(row.get(name))}
    return Shown(task=task(_map(row.get("task"))), **parts)


def one_task(value: object) -> Task:
    return task(_map(_map(value).get("task")))


def me(caller: object, mend: str = "") -> Me:
    row = _map(caller)
    return Me(
        id=clean(row.get("id"), 64),
        kind=clean(row.get("kind"), 16) or "guest",
        role=clean(row.get("role"), 64),
        mend=clean(mend, 500),
    )


def fault(error: Mapping[str, Any]) -> Fault:
    return Fault(code=clean(error.get("code"), 40) or "FAILED", message=clean(error.get("message"), 800))


def items(stream: str, values: Iterable[object]) -> tuple[Item, ...]:
    """Items of a stream; what is not understood is left out."""
    found: list[Item] = []
    for value in values:
        row = _map(value)
        if stream != "tasks":
            kind = clean(row.get("kind") or row.get("what"), 60) or stream
            found.append(Happened(kind, news(row) if stream == "events" else None))
        elif (changed := one_task(row)).id:
            found.append(TaskChanged(changed))
        elif inner := progress(row.get("progress")):
            found.append(TaskProgressed(clean(row.get("id"), 64), inner))
    return tuple(found)


PARSERS: Mapping[str, Callable[[object], Any]] = {
    "status": status,
    "health": health,
    "peers": peers,
    "agent.list": agents,
    "task.list": tasks,
    "task.show": shown,
    "task.trace": trace,
    "task.submit": one_task,
    "task.cancel": one_task,
    "task.retry": one_task,
    "context.history": history,
    "context.get": content,
}
