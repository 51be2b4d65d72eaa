"""The portal's end of the connection to bzzzd: performs effects as calls, and turns what comes back into messages.

    attaching ──granted──▶ attached        as the person, every change of the connection told
        │ refused                          (back to attaching whenever the connection comes back)
        ▼
      guest ──every RETRY_S, or when asked: attach again──granted──▶ attaching

A refusal is not the end: the portal shows what guests may see, and the message says which command mends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from bzzzd.errors import BadInput, BzzzError, NotAllowed, UnknownOutcome
from bzzzd.hap.feeds import feed, prompts, tasks
from bzzzd.hap.files.outbox import Outbox
from bzzzd.hap.link.prompter import Prompter
from bzzzd.hap.link.signing import Person, place_of_summary, place_to_write
from bzzzd.hap.messages import (
    Answered,
    Ask,
    Attach,
    Began,
    Call,
    Came,
    Locked,
    Look,
    Message,
    Offline,
    Online,
    Open,
    Order,
    Post,
    Prompts,
    Protect,
    Refused,
    SaveContent,
    SendAnswer,
    Snapshot,
    Submit,
    Tag,
    Told,
    Unlock,
)
from bzzzd.hap.values.things import Fault, Status
from bzzzd.rpc.client import AsyncClient, State, Subscription
from bzzzd.rpc.follower import Snapshot as StreamSnapshot
from bzzzd.rpc.wire import API, MIN_API

CALL_S = 10.0
BATCH_S = 0.05
RETRY_S = 30.0
_TRIES = 3
_RECONNECT_S = 10.0
_KEPT_PARAMS = 32

Send = Callable[[Message], None]


class Session:
    """``send`` takes each message; ``person`` is None when there is no usable key, and ``mend`` then says why."""

    def __init__(self, socket: str, person: Person | None, mend: str, send: Send, outbox: Outbox) -> None:
        self._socket = socket
        self._person = person
        self._mend = mend
        self._send = send
        self._client: AsyncClient | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._work: set[asyncio.Task[None]] = set()
        self._params: dict[str, Mapping[str, Any]] = {}
        self._held: list[tuple[str, Any, int]] = []
        self._flush: asyncio.TimerHandle | None = None
        self._again: asyncio.TimerHandle | None = None
        self._flushed_at = 0.0
        self._attaching = False
        self._loop = asyncio.get_running_loop()
        self._prompter = Prompter(person, outbox, lambda: self._client, lambda message: self._send(message))

    async def idle(self, limit_s: float) -> None:
        """Wait until every question and command is answered, or for so many seconds."""
        deadline = self._loop.time() + limit_s
        while self._work and (left := deadline - self._loop.time()) > 0:
            await asyncio.wait(self._work, timeout=left)

    def start(self) -> None:
        self._spawn(self._prompter.begin())
        if self._person is not None and self._person.locked:
            self._mend = f"your key {self._person.locked} is locked: U asks for its passphrase"
            self._send(Locked(self._person.locked))
            self._connect(attach=False)
        else:
            self._connect(attach=self._person is not None)

    async def close(self) -> None:
        """End everything; no message is sent any more."""
        self._send = lambda _: None
        for timer in (self._flush, self._again):
            if timer is not None:
                timer.cancel()
        self._prompter.close()
        await self._drop(self._client, tuple(self._readers) + tuple(self._work))

    # The connection

    def _connect(self, *, attach: bool) -> None:
        """Begin anew, as the person or as a guest. Streams are opened in the name of whoever is attached."""
        old, readers = self._client, tuple(self._readers)
        if old is not None:
            self._spawn(self._drop(old, readers))
        self._attaching = attach
        person = self._person if attach else None
        client: AsyncClient | None = None

        def told(state: State) -> None:
            if client is not None and client is self._client:
                self._changed(state)

        client = AsyncClient(
            self._socket, "bzzz-hap", sign=person.prove if person is not None else None, on_state=told, timeout=CALL_S
        )
        self._client = client
        self._readers = [
            self._loop.create_task(self._read(name, client.subscribe(name)), name=f"stream {name}")
            for name in feed.STREAMS
        ]
        client.start()

    def _connect_as_guest(self) -> None:
        self._connect(attach=False)

    @staticmethod
    async def _drop(client: AsyncClient | None, tasks: tuple[asyncio.Task[None], ...]) -> None:
        current = asyncio.current_task()
        others = [task for task in tasks if task is not current]
        for task in others:
            task.cancel()
        if client is not None:
            await client.close()
        await asyncio.gather(*others, return_exceptions=True)

    def _changed(self, state: State) -> None:
        if not state.connected:
            if self._attaching and isinstance(state.error, NotAllowed | BadInput):
                self._attaching = False
                self._mend = state.error.message
                self._loop.call_soon(self._connect_as_guest)  # not from inside the client's own call
                return
            self._send(Offline(state.error.message if state.error else "bzzzd is away"))
            return
        hello = state.hello
        assert hello is not None
        status = Status(node_id=hello.node_id, mesh_id=hello.mesh_id, build=hello.build, phase=hello.phase)
        if state.attached is not None:
            if not self._pinned(state.attached, hello.mesh_id):
                return
            self._mend = ""
            self._spawn(self._prompter.carry(hello.mesh_id))
            self._send(Online(feed.me(state.attached.get("caller")), status))
        else:
            self._send(Online(feed.me({}, self._mend), status))
            self._try_later()

    def _pinned(self, attached: Mapping[str, Any], mesh_id: str) -> bool:
        """Whether this is the mesh whose authority was pinned; if not, nothing is signed for it."""
        assert self._person is not None
        try:
            self._person.pin(attached, mesh_id)
        except BzzzError as error:
            self._attaching = False
            self._mend = error.message
            self._loop.call_soon(self._connect_as_guest)
            return False
        return True

    def _try_later(self) -> None:
        if self._again is not None:
            self._again.cancel()
        if self._person is not None and not self._person.locked:
            self._again = self._loop.call_later(RETRY_S, lambda: self._spawn(self._try()))

    async def _try(self) -> None:
        """Still a guest: ask on this connection whether the grant has come; if so, begin anew as the person."""
        client, person = self._client, self._person
        if client is None or person is None or not client.state.connected or client.state.attached is not None:
            return
        try:
            greeting = {"api": API, "min_api": MIN_API, "client": "bzzz-hap"}
            hello = await client.call("hello", greeting, effects=False)
            await client.call("session.attach", person.prove(hello["nonce"], hello["mesh_id"]), effects=False)
        except BzzzError as error:
            if isinstance(error, NotAllowed) and error.message != self._mend:
                self._mend = error.message
            self._try_later()
        else:
            self._connect(attach=True)

    # The streams

    async def _read(self, name: str, subscription: Subscription) -> None:
        try:
            async for event in subscription:
                number = event.cursor[1]
                if isinstance(event, StreamSnapshot):
                    self._release()
                    if name == "prompts" and event.state is not None:
                        self._send(Prompts(prompts.prompts(event.state)))
                    if name == "tasks" and event.state is not None:
                        self._send(Snapshot(tasks.tasks(event.state), number))
                    elif name in feed.BEFORE and event.state is not None:
                        self._send(Began(name, feed.before(name, event.state)))
                    elif name in feed.STATES and event.state is not None:
                        tag, read = feed.STATES[name]
                        self._send(Answered(tag, read(event.state)))
                else:
                    self._hold(name, feed.items(name, event.items), number)
        except BzzzError as error:
            self._send(Refused((name,), _fault(error)))

    def _hold(self, stream: str, items: tuple[feed.Item, ...], number: int) -> None:
        """Pass items on at once when it is quiet, else together: the window changes twenty times a second at most."""
        self._held.append((stream, items, number))
        if self._flush is not None:
            return
        wait = self._flushed_at + BATCH_S - self._loop.time()
        if wait <= 0:
            self._release()
        else:
            self._flush = self._loop.call_later(wait, self._release)

    def _release(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        self._flushed_at = self._loop.time()
        held, self._held = self._held, []
        for name in feed.STREAMS:
            mine = [(items, number) for stream, items, number in held if stream == name]
            if mine:
                together = tuple(item for items, _ in mine for item in items)
                self._send(Came(name, together, mine[-1][1]))

    # Effects

    def perform(self, effect: Call) -> None:
        """Begin an effect; its answer comes as a message."""
        match effect:
            case Ask(method=method, params=params, tag=tag):
                self._spawn(self._ask(method, params, tag))
            case Attach():
                self._spawn(self._try())
            case Submit(id=id):
                self._spawn(self._command("task.submit", id, ("submit", id), effect))
            case Post(id=id):
                self._spawn(self._command("hmmm.post", id, ("post", id), effect))
            case Order(kind=kind, id=id):
                self._spawn(self._command(f"task.{kind}", id, ("order", id), effect))
            case Open(id=id):
                self._spawn(self._prompter.open(id))
            case Look(prompt=prompt, task=task):
                self._spawn(self._prompter.look(prompt, task))
            case SendAnswer(sending=sending):
                self._spawn(self._prompter.answer(sending))
            case Unlock(passphrase=passphrase):
                self._spawn(self._unlock(passphrase))
            case Protect(passphrase=passphrase):
                self._spawn(self._prompter.protect(passphrase))
            case SaveContent():
                self._spawn(self._save(effect))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What nobody expected must not look like an answer that is still on its way."""
        self._work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logging.getLogger("bzzzd.hap.link.session").error("something asked of bzzzd failed here", exc_info=error)
            self._send(Told("the portal failed at this; its log says why", "bad"))

    async def call(self, method: str, params: Mapping[str, Any]) -> Any:
        """Read something outside of the model, for a file; raises what the daemon refuses."""
        assert self._client is not None
        return await self._client.call(method, params, effects=False)

    async def _ask(self, method: str, params: Mapping[str, Any], tag: Tag) -> None:
        assert self._client is not None
        try:
            value = await self._client.call(method, params, effects=False)
        except BzzzError as error:
            self._send(Refused(tag, _fault(error)))
        else:
            self._send(Answered(tag, feed.parse(method, tag[0], value)))

    async def _save(self, effect: SaveContent) -> None:
        """Write content to a file of the person, as it comes."""
        from bzzzd.hap.files.saving import save, target  # most sessions save nothing

        async def call(method: str, params: Mapping[str, Any], seconds: float) -> Any:
            assert self._client is not None
            return await self._client.call(method, params, effects=False, timeout=seconds)

        tag = ("save", effect.path)
        try:
            path = await asyncio.to_thread(target, effect.path, effect.name)
            size = await save(call, effect.address, path, over=effect.over)
        except BzzzError as error:
            self._send(Refused(tag, _fault(error)))
        else:
            self._send(Answered(tag, (str(path.absolute()), size)))

    async def _unlock(self, passphrase: str) -> None:
        """Open the key off the loop, and attach with it."""
        assert self._person is not None
        try:
            await asyncio.to_thread(self._person.unlock, passphrase)
        except BzzzError as error:
            self._send(Refused(("unlock",), _fault(error)))
        else:
            self._mend = ""
            self._send(Answered(("unlock",), None))
            self._connect(attach=True)

    async def _command(self, method: str, id: str, tag: Tag, effect: Submit | Post | Order) -> None:
        """Send a signed command. Without an answer the same bytes go again: the id keeps it from being done twice."""
        try:
            params = self._params.get(id) or await self._sign(effect)
            self._keep(id, params)
            for attempt in range(_TRIES):
                try:
                    assert self._client is not None
                    value = await self._client.call(method, params, wait=_RECONNECT_S if attempt else 0.0)
                    break
                except UnknownOutcome:
                    if attempt == _TRIES - 1:
                        raise
        except BzzzError as error:
            self._send(Refused(tag, _fault(error)))
        else:
            self._params.pop(id, None)
            self._send(Answered(tag, feed.PARSERS[method](value)))

    async def _sign(self, effect: Submit | Post | Order) -> Mapping[str, Any]:
        assert self._client is not None
        state = self._client.state
        if self._person is None or state.attached is None or state.hello is None:
            raise (
                state.error
                if state.error is not None and not state.connected
                else NotAllowed(self._mend or "the daemon has not let you in; try again when it has")
            )
        if isinstance(effect, Submit):
            return self._person.submit(state.attached, state.hello.mesh_id, effect.id, effect.task)
        if isinstance(effect, Post):
            place = place_to_write(state.attached, effect)
            readers = await self._client.call("context.prepare", place, effects=False)
            refs = await self._keep_summary(self._person, state.attached, state.hello.mesh_id, effect)
            return self._person.post(state.attached, state.hello.mesh_id, readers, effect, refs)
        return self._person.order(state.hello.mesh_id, effect)

    async def _keep_summary(
        self, person: Person, attached: Mapping[str, Any], mesh_id: str, effect: Post
    ) -> tuple[str, ...]:
        """Keep what closes a thread as context, where it is found without the thread; its address and version."""
        if effect.message.sends != "summary" or not effect.thread:
            return ()
        assert self._client is not None
        place = place_of_summary(attached, effect)
        prepared = await self._client.call("context.prepare", place, effects=False)
        version, params = person.summary(attached, mesh_id, prepared, effect)
        # The same bytes are one version however often they arrive, and nothing was posted yet if this fails.
        await self._client.call("context.put", params, effects=False)
        return str(place["address"]), version

    def _keep(self, id: str, params: Mapping[str, Any]) -> None:
        self._params[id] = params
        while len(self._params) > _KEPT_PARAMS:
            del self._params[next(iter(self._params))]


def _fault(error: BzzzError) -> Fault:
    return feed.fault(error.to_map())
