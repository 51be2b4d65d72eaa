"""Threads over RPC: list, show, post, and the live stream."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.hmmm.book import ThreadBook, said_of
from bzzzd.daemon.hmmm.border import Border
from bzzzd.daemon.hmmm.shown import Shown, addressed, hidden_map, message_map, subject_of, thread_map
from bzzzd.errors import BadInput, NotFound, ThreadFull, Unavailable, UnknownOutcome
from bzzzd.hmmm.message import MESSAGE_LIMIT, MessageId, ThreadId, message_id
from bzzzd.hmmm.thread import check_post
from bzzzd.identity.caller import Caller
from bzzzd.rpc.access import attached, kinds
from bzzzd.rpc.registry import Registry
from bzzzd.rpc.streams import Feed, Stream, StreamTable
from bzzzd.storage.threads import Head, Kept
from bzzzd.ucxl.version import HEADER_LIMIT

_PAGE: Final = 100
_SNAPSHOT: Final = 200
# Threads that one page looks at; it may have fewer rows than were asked for, and more may follow.
_LOOKED_AT: Final = 500


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class ListParams(_Params, frozen=True):
    """``open``: only threads that are not closed (true), or that are (false). ``after`` is the ``next`` before."""

    limit: Annotated[int, Meta(ge=1, le=500)] = _PAGE
    after: Annotated[str, Meta(max_length=128)] | None = None
    open: bool | None = None


class ShowParams(_Params, frozen=True):
    """Messages after the one with the id ``after``, by time."""

    thread: ThreadId
    after: MessageId | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 200


class PostParams(_Params, frozen=True):
    """A signed message (kind ``hmmm``), the signed header of its text, and the text (``hmmm/message.py``)."""

    envelope: Annotated[bytes, Meta(max_length=2 * MESSAGE_LIMIT)]
    version: Annotated[bytes, Meta(max_length=HEADER_LIMIT)]
    content: bytes


class ThreadDesk:
    """``publish(kept, version)`` tells other nodes; ``task_there(id)`` raises ``NotFound`` for an unknown task.

    ``stream`` shows what is new to those who follow it.
    """

    def __init__(
        self,
        book: ThreadBook,
        border: Border,
        shown: Shown,
        gate: Gate,
        stream: Stream,
        *,
        publish: Callable[[Kept, str], Awaitable[None]],
        task_there: Callable[[str], Awaitable[object]],
        spawn: Callable[..., Any],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._book = book
        self._border = border
        self._shown = shown
        self._gate = gate
        self._stream = stream
        self._publish = publish
        self._task_there = task_there
        self._spawn = spawn
        self._clock = clock

    async def list(self, call: Any, params: ListParams) -> dict[str, Any]:
        """Threads, the one that was last spoken in first."""
        caller: Caller = call.caller
        self._gate.check(caller, "hmmm.list", "thread", "read")
        heads = self._book.latest()
        if params.after is not None:
            place = _place(params.after)
            heads = [head for head in heads if (head.last_at, head.thread) < place]
        rows, now = list[dict[str, Any]](), self._clock()
        looked = 0
        for head in heads[:_LOOKED_AT]:
            if len(rows) == params.limit:
                break
            looked += 1
            talk = await self._book.talk(head.thread)
            if params.open is None or params.open == (talk.thread.state(now) != "closed"):
                rows.append(await self._shown.thread(head.thread, talk, caller, now))
        return {"threads": rows, "next": _cursor(heads[looked - 1]) if looked < len(heads) else None}

    async def show(self, call: Any, params: ShowParams) -> dict[str, Any]:
        """One thread with its messages by time; texts where the caller's role may read them."""
        caller: Caller = call.caller
        self._gate.check(caller, "hmmm.show", f"thread:{params.thread}", "read")
        talk, now = await self._book.talk(params.thread), self._clock()
        if not talk.kept:
            raise NotFound(f"nobody has said anything on {params.thread} yet; bzzz hmmm list shows what there is")
        said = talk.thread.said
        if params.after is not None:
            place = next((at for at, one in enumerate(said) if one.id == params.after), None)
            if place is None:
                raise NotFound(f"thread {params.thread} has no message {params.after}")
            said = said[place + 1 :]
        page = said[: params.limit]
        return {
            "thread": await self._shown.thread(params.thread, talk, caller, now),
            "messages": [await self._shown.message(talk, one, caller, now) for one in page],
            "next": page[-1].id if len(page) < len(said) else None,
        }

    async def post(self, call: Any, params: PostParams) -> dict[str, Any]:
        """Say something on a thread; durable here when answered, and on its way to every member."""
        caller: Caller = call.caller
        envelope, message = self._border.opened(params.envelope, caller)
        id, now = message_id(envelope.author, envelope.payload), self._clock()
        talk = await self._book.talk(message.thread)
        known = talk.kept.get(id)
        if known is None:
            if not talk.kept and message.thread.startswith("t-"):
                await self._check_task(message.thread)
            kept, text = await self._border.written(envelope, message, caller, params.version, params.content)
            try:
                check_post(talk.thread, said_of(kept, message), now)
            except BaseException:
                await self._border.discard(text)
                raise
            if await self._book.add(kept, text):
                self._spawn("publishing", self._publish(kept, message.version), ends=True)
                await self.told(kept)
            talk = await self._book.talk(message.thread)
        said = next((one for one in talk.thread.said if one.id == id), None)
        if said is None:  # others took the last places at the same moment
            raise ThreadFull(f"thread {message.thread} has become full; close it with a summary and begin another")
        return {"message": await self._shown.message(talk, said, caller, now)}

    async def _check_task(self, task: str) -> None:
        """The first word about a task: where the ledger cannot be asked now, the author is believed."""
        try:
            await self._task_there(task)
        except (Unavailable, UnknownOutcome):
            return

    # The stream.

    async def told(self, kept: Kept) -> None:
        """A message is new here: show it to those who follow."""
        talk = await self._book.talk(kept.thread)
        found = talk.kept.get(kept.id)
        if found is None:
            return
        message, now = found[1], self._clock()
        read = await self._shown.anyhow(message.version)
        beginning = talk.thread.said[0].id
        first = read if beginning == kept.id else await self._shown.anyhow(talk.kept[beginning][1].version)
        self._stream.append(
            {
                "thread": {**thread_map(kept.thread, talk, now), "subject": None, "for_me": False},
                "message": message_map(talk, kept, message, None, now), "hidden": hidden_map(read),
                "first": hidden_map(first), "subject": subject_of(first.text) if first is not None else None,
            }
        )  # fmt: skip

    def _feed(self, call: Any, name: str, filter: dict[str, Any]) -> Feed:
        caller: Caller = call.caller
        self._gate.check(caller, "hmmm.list", "thread", "read")
        only = filter.get("thread")

        def view(item: dict[str, Any]) -> dict[str, Any] | None:
            if only is not None and item["thread"]["id"] != only:
                return None
            return _for_caller(item, caller)

        async def snapshot() -> dict[str, Any]:
            page = await self.list(call, ListParams(limit=_SNAPSHOT))
            return {"threads": [row for row in page["threads"] if only in (None, row["id"])]}

        return Feed(self._stream, view, snapshot)

    def register(self, registry: Registry, streams: StreamTable) -> None:
        member = attached()
        registry.add("hmmm.list", member, ListParams, self.list, result="{threads, next}", reads=True)
        registry.add("hmmm.show", member, ShowParams, self.show, result="{thread, messages, next}", reads=True)
        registry.add(
            "hmmm.post", kinds("person", "admin", "agent"), PostParams, self.post, result="{message}",
        )  # fmt: skip
        streams.add("hmmm", member, self._feed, "messages on threads as they come; filter: thread")


def _cursor(head: Head) -> str:
    """Where a page ends: a time with its thread, which may have moved on when the next one is asked for."""
    return f"{head.last_at!r}:{head.thread}"


def _place(cursor: str) -> tuple[float, str]:
    at, _, thread = cursor.partition(":")
    try:
        return float(at), thread
    except ValueError as error:
        raise BadInput("`after` is the `next` of the page before; leave it out for the first page") from error


def _for_caller(item: dict[str, Any], caller: Caller) -> dict[str, Any]:
    """An item of the stream with what the caller's role may read of it."""
    thread, message = dict(item["thread"]), dict(item["message"])
    hidden, first = item["hidden"], item["first"]
    if caller.role in first["readers"]:
        thread["subject"] = item["subject"]
    if caller.role in hidden["readers"]:
        message |= hidden
        thread["for_me"] = addressed(hidden["to"], caller)
    return {"thread": thread, "message": message}
