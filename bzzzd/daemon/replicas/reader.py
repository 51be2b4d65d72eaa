"""Reading what other nodes hold: the heads of several holders united here, content from whichever has it.

A local copy is never the last word while a holder can be asked: each read of an address asks all its
holders at once, what they know is checked and noted here, and the answer comes from here. Membership tells
who the holders are; when none of them knows the address, the other members and the DHT are asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

import structlog
from msgspec.structs import replace

from bzzzd.daemon.replicas.ask import Asker
from bzzzd.daemon.replicas.blobs import BlobDesk
from bzzzd.daemon.replicas.nodes import Nodes
from bzzzd.errors import BzzzError, NotFound, StorageFailed, Unavailable, UnknownOutcome
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions import held
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.questions import (
    MOST_IDS,
    Browse,
    Browsed,
    Entry,
    Fetch,
    Find,
    Found,
    Lacking,
    Offer,
)
from bzzzd.ucxl.address import Address, parse

_UNITE_S: Final = 2.0
_FETCH_S: Final = 10.0
_BROWSE_S: Final = 5.0
_PAGES: Final = 64
_MANY: Final = 32
_FEW_IDS: Final = 128
_LOG: Final = structlog.get_logger()


class Reader:
    """``locate(base)`` asks the DHT who holds an address, and gives the keys of nodes."""

    def __init__(
        self,
        journal: Journal,
        content: ContentStore,
        contexts: ContextStore,
        nodes: Nodes,
        asker: Asker,
        blobs: BlobDesk,
        *,
        locate: Callable[[str], Awaitable[Sequence[bytes]]],
    ) -> None:
        self._journal = journal
        self._content = content
        self._nodes = nodes
        self._asker = asker
        self._blobs = blobs
        self._locate = locate
        self.contexts = contexts
        self.asked = 0
        self.refused = 0

    # The heads of an address.

    async def unite(self, address: Address) -> bool:
        """Bring here what the holders of an address know; whether all of them answered in time."""
        base = address.base
        holders, connected = self._nodes.others(base), self._nodes.connected()
        here = [node for node in holders if node in connected]
        answered = await self._ask_all(address, here)
        if not await self._journal.read(partial(held.ids_at, base=base)):
            # Nobody who should have it has: holders that have just changed, or an address that nobody knows.
            rest = [node for node in connected if node not in holders and node != self._nodes.own][:_MANY]
            answered &= await self._ask_all(address, rest)
            if len(rest) < len(self._nodes.present) - 1 - len(here) and not await self._known(base):
                found = await self._locate(base)
                await self._ask_all(address, [node for node in found if node in connected and node not in here])
        return answered and len(here) == len(holders)

    async def _known(self, base: str) -> bool:
        return bool(await self._journal.read(partial(held.ids_at, base=base)))

    async def _ask_all(self, address: Address, nodes: Iterable[bytes]) -> bool:
        answers = await asyncio.gather(*[self._ask_one(address, node) for node in nodes])
        return all(answers)

    async def _ask_one(self, address: Address, node: bytes) -> bool:
        try:
            async with asyncio.timeout(_UNITE_S):
                for _ in range(_PAGES):
                    answer = await self._find(address, node)
                    await self._note(answer.versions, node)
                    if not answer.differs:
                        break
            return True
        except (BzzzError, TimeoutError) as error:
            if not isinstance(error, Unavailable | UnknownOutcome | TimeoutError):
                _LOG.info("a holder's answer cannot be used", holder=node.hex()[:12], error=str(error)[:200])
            return False

    async def catch_up(self, base: str, node: bytes) -> None:
        """Learn what one node knows of an address."""
        await self._ask_one(parse(base), node)

    async def _find(self, address: Address, node: bytes) -> Found:
        self.asked += 1
        ids = await self._journal.read(partial(held.ids_at, base=address.base))
        digest, have = held.ids_digest(ids), tuple(ids) if len(ids) <= MOST_IDS else ()
        if len(ids) > _FEW_IDS:
            # A long history is named only when it is not the same there.
            answer = await self._asker.ask(node, Find(address.canonical, digest, None), Found, _UNITE_S)
            if not answer.differs:
                return answer
        return await self._asker.ask(node, Find(address.canonical, digest, have), Found, _UNITE_S)

    async def _note(self, versions: Sequence[Carried], node: bytes) -> None:
        """Check and keep what a holder sent; what does not hold is left out, and counted."""
        kept = await asyncio.gather(*[self._keep(carried, node) for carried in versions], return_exceptions=True)
        for carried, result in zip(versions, kept, strict=True):
            if isinstance(result, BzzzError) and not isinstance(result, StorageFailed):
                self.refused += 1
                _LOG.info("a version was not taken", version_id=carried.id, why=result)
            elif isinstance(result, BaseException):
                raise result

    # Content.

    async def obtain(self, id: str, base: str | None, attempt: int = 0) -> bool:
        """Bring the content of a version here from a node that has it; what is damaged here is replaced.

        ``attempt`` counts from 0: each begins with another node, because what one has may be damaged too.
        """
        connected = self._nodes.connected() - {self._nodes.own}
        first = [node for node in (self._nodes.others(base) if base else ()) if node in connected]
        rest = [node for node in connected if node not in first][:_MANY]
        nodes = [*first, *rest]
        turn = attempt % len(nodes) if nodes else 0
        for node in nodes[turn:] + nodes[:turn]:
            try:
                carried = await self._asker.ask(node, Fetch(bytes.fromhex(id)), Carried, _FETCH_S)
                if carried.id != id:
                    raise NotFound(f"a node answered with version {carried.id} instead of {id}")
                await self._take(carried, node, nodes)
                return True
            except NotFound:
                continue
            except BzzzError as error:
                _LOG.info("content was not had", version_id=id, holder=node.hex()[:12], error=error)
        return False

    async def _take(self, carried: Carried, node: bytes, nodes: Sequence[bytes]) -> None:
        """Keep what another node sent in place of what is missing or damaged here."""
        if carried.data is None:
            order = (node, *(other for other in nodes if other != node))
            blob = await self._blobs.fetch(carried.hash, carried.size, carried.sealed, order)
            await self._journal.write(lambda connection: ContentStore.insert(connection, blob))
            await self._discard(carried.id, blob.hash)
        else:
            await self._discard(carried.id, None)
        await self._keep(carried, node)

    async def _keep(self, carried: Carried, node: bytes) -> None:
        """Add a version here. One that is only read here lays no duty on this node to bring it to others."""
        with self._asker.judging(node):
            pending = await self.contexts.verify(carried, holder=node)
        if self._nodes.own not in self._nodes.targets(pending.header.address):
            pending = replace(pending, owed=())
        await self.contexts.store(pending)

    async def _discard(self, id: str, unless: bytes | None) -> None:
        """Take this node's damaged content of a version out of the store, unless it was replaced already."""
        try:
            row = await self.contexts.show_id(id)
        except NotFound:
            return
        if row.here and row.blob.hash != unless:
            await self._content.remove(row.blob.hash)

    async def holders(self, ids: Sequence[str], base: str) -> dict[str, list[bytes]]:
        """Which nodes hold these versions now, as they say themselves; those that cannot be asked are left out.

        What was let go is held by nobody: a node does not lack it, so that none is brought to it again.
        """
        raw = [bytes.fromhex(id) for id in ids]
        gone = await self._journal.read(partial(held.let_go, ids=raw))
        connected = self._nodes.connected()
        nodes = [node for node in self._nodes.others(base) if node in connected]
        own = frozenset(await self._journal.read(partial(held.lacking, ids=raw)))
        lacking = dict(zip(nodes, await asyncio.gather(*[self._lacking(node, raw) for node in nodes]), strict=True))
        lacking = {self._nodes.own: own, **lacking}
        return {
            id.hex(): [node for node, without in lacking.items() if without is not None and id not in without | gone]
            for id in raw
        }

    async def _lacking(self, node: bytes, ids: Sequence[bytes]) -> frozenset[bytes] | None:
        try:
            return frozenset((await self._asker.ask(node, Offer(tuple(ids)), Lacking, _UNITE_S)).ids)
        except BzzzError:
            return None

    # Lists.

    async def browse(self, pattern: str, after: str, limit: int) -> tuple[list[Entry], bool, str | None]:
        """What other nodes list behind ``after``: entries, whether all nodes answered, and how far all have gone.

        That is the last address up to which nothing is missing; None when every list came to its end.
        """
        connected = sorted(self._nodes.connected() - {self._nodes.own})[:_MANY]
        question = Browse(pattern, after, limit)
        answers = await asyncio.gather(*[self._browse(node, question) for node in connected])
        told = [answer for answer in answers if answer is not None]
        complete = len(told) == len(answers) and len(connected) >= len(self._nodes.present) - 1
        ends = [answer.last for answer in told if answer.last]
        return [entry for answer in told for entry in answer.entries], complete, min(ends, default=None)

    async def _browse(self, node: bytes, question: Browse) -> Browsed | None:
        try:
            return await self._asker.ask(node, question, Browsed, _BROWSE_S)
        except BzzzError:
            return None
