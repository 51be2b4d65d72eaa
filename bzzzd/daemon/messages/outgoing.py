"""Messages that leave: numbered together, gossiped together, as many as came while the step before was under way.

    publish ──▶ waiting ──one journal write──▶ numbered ──one gossip message──▶ mesh
                                                  └──one sync──▶ answered, shown here

A lone message passes both steps at once. When the peers do not take what is sent, the second queue fills, then the
first, and then publishers wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from bzzzd.crypto.envelope import Envelope
from bzzzd.daemon.messages.channels import Channel
from bzzzd.errors import BzzzError, NotReady, from_map
from bzzzd.storage.messages.carry import CARRY_BYTES, CARRY_MESSAGES, Bundle, Message, pack
from bzzzd.storage.messages.store import MessageStore

_PACKET_BYTES: Final = 262_144
_MOST_BYTES: Final = 4_194_304

Send = Callable[[str, bytes], Any]


class _Waiting(NamedTuple):
    envelope: Envelope
    message: Message
    numbered: asyncio.Future[int]


class _Lane:
    """The queues of one topic."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.outside: deque[_Waiting] = deque()
        self.waiting: deque[_Waiting] = deque()
        self.numbered: deque[tuple[Bundle, int]] = deque()
        self.bytes = 0
        self.numbering = self.sending = False


class Outgoing:
    """``shown(channel, number, envelope, message)`` is told of each message once it is durable."""

    def __init__(
        self,
        store: MessageStore,
        send: Send,
        *,
        shown: Callable[[Channel, int, Envelope, Message], None],
        spawn: Callable[..., Any],
    ) -> None:
        self._store = store
        self._send = send
        self._shown = shown
        self._spawn = spawn
        self._lanes: dict[str, _Lane] = {}
        self.unsent = 0

    def publish(self, channel: Channel, envelope: Envelope, message: Message) -> asyncio.Future[int]:
        """Number a message and have it sent; gives its number in the topic once that is durable.

        Its place is taken when this returns; one whose future is cancelled before its turn is passed over.
        """
        lane = self._lanes.get(channel.name)
        if lane is None:
            lane = self._lanes[channel.name] = _Lane(channel)
        waiting = _Waiting(envelope, message, asyncio.get_running_loop().create_future())
        lane.outside.append(waiting)
        self._let_in(lane)
        return waiting.numbered

    def _let_in(self, lane: _Lane) -> None:
        """Take in publishers as far as there is room, in their order: nobody passes one that waits."""
        while lane.outside and lane.bytes < _MOST_BYTES:
            waiting = lane.outside.popleft()
            if not waiting.numbered.done():  # or its caller has gone
                lane.bytes += len(waiting.envelope.raw)
                lane.waiting.append(waiting)
        if lane.waiting and not lane.numbering:
            lane.numbering = True
            self._spawn("topics", "numbering", self._number(lane), ends=True)

    async def _number(self, lane: _Lane) -> None:
        try:
            while lane.waiting:
                await self._number_some(lane)
                self._let_in(lane)
        finally:
            lane.numbering = False
            # Empty, unless this task was ended with the node.
            for waiting in (*lane.waiting, *(lane.outside if lane.waiting else ())):
                if not waiting.numbered.done():
                    waiting.numbered.set_exception(NotReady("bzzzd is stopping; the message was not published"))
            lane.waiting.clear()
            self._leave(lane)

    async def _number_some(self, lane: _Lane) -> None:
        batch = [lane.waiting.popleft()]
        size = len(batch[0].envelope.raw)
        while lane.waiting and len(batch) < CARRY_MESSAGES:
            size += len(lane.waiting[0].envelope.raw)
            if size > CARRY_BYTES:
                break
            batch.append(lane.waiting.popleft())
        size = sum(len(waiting.envelope.raw) for waiting in batch)
        channel, source = lane.channel, self._store.own
        try:
            published, synced = await self._store.publish(
                channel.name, [(waiting.envelope, waiting.message) for waiting in batch]
            )
            if published.bundle is None:
                lane.bytes -= size
            else:
                self._hand_on(lane, published.bundle, size)
            size = 0
            now = asyncio.get_running_loop().time()
            channel.tracker.know(source, published.last, published.after, now)
            channel.version += 1
            await synced
        except BaseException as error:
            lane.bytes -= size
            for waiting in batch:
                if not waiting.numbered.done():
                    waiting.numbered.set_exception(_own(error))
            if not isinstance(error, BzzzError):
                raise
            return
        for waiting, number in zip(batch, published.numbers, strict=True):
            self._shown(channel, number, waiting.envelope, waiting.message)
            if not waiting.numbered.done():
                waiting.numbered.set_result(number)

    def _hand_on(self, lane: _Lane, bundle: Bundle, size: int) -> None:
        lane.numbered.append((bundle, size))
        if not lane.sending:
            lane.sending = True
            self._spawn("topics", "sending", self._send_all(lane), ends=True)

    async def _send_all(self, lane: _Lane) -> None:
        try:
            while lane.numbered:
                bundle, size = lane.numbered.popleft()
                bundles = [bundle]
                while lane.numbered and size + lane.numbered[0][1] <= _PACKET_BYTES:
                    bundles.append(lane.numbered[0][0])
                    size += lane.numbered.popleft()[1]
                try:
                    await self._send(lane.channel.mesh_topic, pack(bundles))
                except BzzzError:
                    # Not lost: it is kept, and who follows the topic asks for it.
                    self.unsent += len(bundles)
                lane.bytes -= size
                self._let_in(lane)
        finally:
            lane.sending = False
            self._leave(lane)

    def _leave(self, lane: _Lane) -> None:
        """A topic that is quiet costs nothing."""
        if not (lane.numbering or lane.sending or lane.waiting or lane.numbered or lane.outside) and lane.bytes == 0:
            self._lanes.pop(lane.channel.name, None)


def _own(error: BaseException) -> BzzzError:
    # An exception that many raise collects all their tracebacks.
    if isinstance(error, BzzzError):
        return from_map(error.to_map())
    return NotReady("bzzzd is stopping; whether the message was published is not known")
