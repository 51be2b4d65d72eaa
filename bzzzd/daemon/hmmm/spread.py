"""Threads among members: a message goes to all at once; whoever missed one fetches it from any other, once.

What is posted here is published with its text. Nodes compare one word for all of their threads when they meet,
and each with one other every half minute; where it differs, a node asks for the marks of all threads, and for
what it lacks of those that differ. So a node that was away, and one that has just joined, has every thread whole.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from bzzzd.daemon.hmmm import wire
from bzzzd.daemon.hmmm.book import ThreadBook
from bzzzd.daemon.hmmm.border import Border
from bzzzd.errors import BzzzError, NotFound
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import key_of
from bzzzd.storage.threads import Kept, mark_of
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.rows import Pending

_EVERY_S: Final = 30.0
_GATHER_S: Final = 0.1
_AGAIN_S: Final = 1.0
_TRIES: Final = 5
_REQUEST_S: Final = 15.0
_MOST_ROUNDS: Final = 256
_INBOX: Final = 1024
_LOT: Final = 64
# Two nodes that go on differing (by their policies, say) do not ask each other in a circle.
_ASKED_BACK_S: Final = 10.0
_PEERS: Final = 4096
# With how many of those that join together a node compares.
_AT_ONCE: Final = 3

Told = Callable[[Kept], Awaitable[None]]


class Spread:
    """``told(kept)`` hears of each message that is new here; ``say(kind, detail, peer_id)`` is for the mesh's events.

    ``spawn(name, work, ends)`` runs a background task.
    """

    def __init__(
        self,
        book: ThreadBook,
        border: Border,
        contexts: ContextStore,
        mesh: Mesh,
        *,
        told: Told,
        say: Callable[[str, str, str], None],
        spawn: Callable[..., Any],
    ) -> None:
        self._book = book
        self._border = border
        self._contexts = contexts
        self._mesh = mesh
        self._told = told
        self._say = say
        self._spawn = spawn
        self._heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(_INBOX)
        self._met: dict[str, None] = {}
        self._asked: dict[str, float] = {}
        self._kick = asyncio.Event()
        self.taken = 0
        self.fetched = 0

    def open(self) -> None:
        """Hear and answer members, and compare with those that are there."""
        self._mesh.subscribe(wire.TOPIC, self._arrived)
        self._mesh.handle(wire.PROTOCOL, self._answer)
        self._spawn("arrivals", self._take_arrivals())
        self._spawn("comparing", self._keep_comparing())
        for peer in self._mesh.peers():
            if peer.connected:
                self.met(peer.peer_id)

    def met(self, peer_id: str) -> None:
        """A member has joined, or has something that is not here."""
        self._met[peer_id] = None
        self._kick.set()

    async def publish(self, kept: Kept, version: str) -> None:
        """Tell everybody of a message that was posted here; who misses it fetches it later."""
        try:
            item = await self._item(kept.raw, version)
            await self._mesh.publish(wire.TOPIC, wire.encode(item))
        except BzzzError as error:
            self._say("not_spread", error.message, "")

    # What comes.

    def _arrived(self, topic: str, peer_id: str, raw: bytes) -> None:
        try:
            self._heard.put_nowait((peer_id, raw))
            self._mesh.hold(len(raw))
        except asyncio.QueueFull:
            self.met(peer_id)  # it is fetched when there is time for it

    async def _take_arrivals(self) -> None:
        while True:
            peer_id, raw = await self._heard.get()
            try:
                with self._mesh.judging(peer_id):
                    item = wire.open_as(raw, wire.Item)
                if await self._take(peer_id, (item,)):
                    self.taken += 1
            except BzzzError as error:
                self._say("invalid", error.message, peer_id)
            finally:
                self._mesh.release(len(raw))

    async def _take(self, peer_id: str, items: Sequence[wire.Item], *, fetched: bool = False) -> int:
        """Keep what holds; how many were new. Those of a lot are made durable together."""
        new = 0
        for start in range(0, len(items), _LOT):
            found = [await self._checked(peer_id, item, fetched) for item in items[start : start + _LOT]]
            checked = [one for one in found if one is not None]
            added = await asyncio.gather(*(self._added(peer_id, *one) for one in checked))
            for (kept, _), is_new in zip(checked, added, strict=True):
                if is_new:
                    new += 1
                    await self._told(kept)
        return new

    async def _checked(self, peer_id: str, item: wire.Item, fetched: bool) -> tuple[Kept, Pending] | None:
        """A message that may be kept; ``None`` for one that does not hold, or that is of a thread long gone."""
        try:
            with self._mesh.judging(peer_id):
                kept, text = await self._border.inspect(item, key_of(peer_id))
            if fetched or self._book.takes(kept.thread, kept.at):
                return kept, text
            await self._border.discard(text)
        except BzzzError as error:
            self._say("invalid", error.message, peer_id)
        return None

    async def _added(self, peer_id: str, kept: Kept, text: Pending) -> bool:
        try:
            return await self._book.add(kept, text)
        except BzzzError as error:  # a full disk, say: it is fetched again later
            self._say("not_kept", error.message, peer_id)
            return False

    # Comparing.

    async def _keep_comparing(self) -> None:
        rest = self._pause()
        while True:
            try:
                async with asyncio.timeout(rest):
                    await self._kick.wait()
                await asyncio.sleep(_GATHER_S)
            except TimeoutError:
                peers = [peer.peer_id for peer in self._mesh.peers() if peer.connected]
                if peers and not self._met:
                    self._met[secrets.choice(peers)] = None
            self._kick.clear()
            met, self._met = list(self._met), {}
            some = secrets.SystemRandom().sample(met, min(len(met), _AT_ONCE))
            await asyncio.gather(*(self._compare(peer_id) for peer_id in some))
            rest = self._pause()

    @staticmethod
    def _pause() -> float:
        """Nodes that started together do not ask together."""
        return _EVERY_S * (800 + secrets.randbelow(400)) / 1000

    async def _compare(self, peer_id: str) -> None:
        """Compare with a member; one that has just joined may not serve yet, so it is asked again."""
        for left in reversed(range(_TRIES)):
            try:
                await self.exchange(peer_id)
                return
            except BzzzError as error:
                if not self._connected(peer_id):
                    return  # they compare when it is back
                if not left and not isinstance(error, NotFound):
                    self._say("not_compared", error.message, peer_id)
            await asyncio.sleep(_AGAIN_S)

    def _connected(self, peer_id: str) -> bool:
        return any(peer.connected and peer.peer_id == peer_id for peer in self._mesh.peers())

    async def exchange(self, peer_id: str) -> None:
        """Fetch what a member holds and this node lacks."""
        if len(self._asked) >= _PEERS:
            self._asked.clear()
        self._asked[peer_id] = time.monotonic()
        raw = await self._ask(peer_id, wire.Ask(self._book.root))
        with self._mesh.judging(peer_id):
            answer = wire.open_as(raw, wire.Answer)
        wanted = [row.thread for row in answer.rows if self._differs(row) and self._book.takes(row.thread, row.last_at)]
        for start in range(0, len(wanted), wire.MOST_WANTED):
            await self._fetch(peer_id, wanted[start : start + wire.MOST_WANTED])

    def _differs(self, row: wire.Row) -> bool:
        head = self._book.head(row.thread)
        return head is None or head.mark != row.mark

    async def _fetch(self, peer_id: str, wanted: Sequence[str]) -> None:
        for _ in range(_MOST_ROUNDS):
            known = tuple([await self._known(thread) for thread in wanted])
            raw = await self._ask(peer_id, wire.Want(known))
            with self._mesh.judging(peer_id):
                given = wire.open_as(raw, wire.Give)
            new = await self._take(peer_id, given.items, fetched=True)
            self.fetched += new
            if given.whole or not new:
                return

    async def _known(self, thread: str) -> wire.Wanted:
        talk = await self._book.talk(thread)
        return wire.Wanted(thread, b"".join(_prefix(id) for id in talk.kept))

    async def _ask(self, peer_id: str, question: wire.Ask | wire.Want) -> bytes:
        return await self._mesh.request(peer_id, wire.PROTOCOL, wire.encode(question), _REQUEST_S)

    # Answering.

    async def _answer(self, peer_id: str, raw: bytes) -> bytes:
        asked = wire.open_question(raw)
        if isinstance(asked, wire.Want):
            return wire.encode(await self._give(asked))
        root = self._book.root
        if asked.root == root:
            return wire.encode(wire.Answer(root))
        if time.monotonic() - self._asked.get(peer_id, -_ASKED_BACK_S) >= _ASKED_BACK_S:
            self.met(peer_id)  # it may have what is missing here
        rows = [wire.Row(head.thread, head.mark, head.last_at) for head in self._book.latest()[: wire.MOST_HEADS]]
        return wire.encode(wire.Answer(root, tuple(rows)))

    async def _give(self, asked: wire.Want) -> wire.Give:
        items: list[wire.Item] = []
        weight = 0
        for wanted in asked.threads:
            size = wire.PREFIX_BYTES
            known = {wanted.known[at : at + size] for at in range(0, len(wanted.known), size)}
            talk = await self._book.talk(wanted.thread)
            for said in talk.thread.said:
                if _prefix(said.id) in known:
                    continue
                kept, message = talk.kept[said.id]
                try:
                    item = await self._item(kept.raw, message.version)
                except BzzzError:
                    continue  # its text is damaged or gone here; somebody else has it
                weight += item.weight
                if items and (weight > wire.GIVE_BYTES or len(items) == wire.MOST_ITEMS):
                    return wire.Give(tuple(items), False)
                items.append(item)
        return wire.Give(tuple(items), True)

    async def _item(self, raw: bytes, version: str) -> wire.Item:
        return wire.Item(raw, await self._contexts.carry(version))


def _prefix(id: str) -> bytes:
    return mark_of(id)[: wire.PREFIX_BYTES]
