"""The store of a node: journal, content, role keys, context and messages, opened and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bzzzd.config.schema import StorageSection
from bzzzd.daemon.identity import IdentityService
from bzzzd.daemon.replicas.nodes import SCHEMA as NODES
from bzzzd.daemon.replicas.service import Replicas
from bzzzd.errors import BzzzError
from bzzzd.runtime.memory import give_back
from bzzzd.runtime.services import Health
from bzzzd.slurp import replica
from bzzzd.slurp.schema import MAJOR, NAME
from bzzzd.slurp.schema import SCHEMA as LEDGER_TABLES
from bzzzd.storage.invitations import SCHEMA as INVITATIONS
from bzzzd.storage.journal.journal import Journal, Schema
from bzzzd.storage.messages.store import SCHEMA as MESSAGES
from bzzzd.storage.messages.store import Limits, MessageStore
from bzzzd.storage.outbox import SCHEMA as OUTBOX
from bzzzd.storage.threads import SCHEMA as THREADS
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore, Writer
from bzzzd.storage.versions.reseal import Resealing
from bzzzd.ucxl.address import Address

_REST_S: Final = 10.0
_MUCH: Final = 50
_COPY: Final = Schema(replica.NAME, replica.MAJOR, replica.SCHEMA)
_ALL: Final = (Schema(NAME, MAJOR, LEDGER_TABLES), _COPY, OUTBOX, *SCHEMAS, MESSAGES, INVITATIONS, NODES, THREADS)


class Store:
    """Made empty; after ``start`` every part is there. ``died(why)`` hears when the journal's thread ends by itself.

    ``replicas`` brings versions to other nodes and reads theirs; ``obtain(roles)`` tries to get the role secrets
    that a reader lacks.
    """

    name = "store"
    depends = ("identity",)

    journal: Journal
    content: ContentStore
    contexts: ContextStore
    resealing: Resealing
    messages: MessageStore

    def __init__(
        self,
        state: Path,
        settings: StorageSection,
        identity: IdentityService,
        replicas: Replicas,
        may_write: Callable[[Writer, Address], bool],
        died: Callable[[str], None],
        obtain: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._state = state
        self._settings = settings
        self._identity = identity
        self._replicas = replicas
        self._may_write = may_write
        self._died = died
        self._obtain = obtain
        self._opened = False

    async def start(self) -> None:
        settings, who, others = self._settings, self._identity.node, self._replicas
        self.journal = journal = await Journal.open(self._state / "journal.sqlite", _ALL)
        self._opened = True
        journal.ended.add_done_callback(lambda _: self._ended())
        self.content = content = await ContentStore.open(journal, self._state / "content", settings.inline_bytes)
        self.contexts = ContextStore(
            journal, content, self._identity.rolekeys, who.mesh_id,
            may_write=self._may_write, max_content_bytes=settings.max_content_bytes,
            chain_of=self._identity.members.chain_of, trust=who.trust, obtain=self._obtain,
            holders=others.others, written=others.written, elsewhere=others,
        )  # fmt: skip
        others.open(journal, self.contexts, content)
        limits = Limits(messages=settings.topic_keep_messages)
        self.messages = MessageStore(journal, who.key, who.mesh_id, limits)
        self.resealing = Resealing(journal, content, self._identity.rolekeys)

    async def stop(self) -> None:
        if self._opened:
            await self.journal.close()

    async def rest(self) -> None:
        """Give memory back whenever much was written and then nothing for a while, for as long as the node runs."""
        seen = rested = 0
        while True:
            await asyncio.sleep(_REST_S)
            writes = self.journal.figures.writes
            if writes == seen and writes - rested >= _MUCH:
                rested = writes
                with suppress(BzzzError):  # a journal that has failed says so itself
                    await self.journal.shrink()
                give_back()
            seen = writes

    def health(self) -> Health:
        if self.journal.failure is not None:
            return Health(ok=False, detail=self.journal.failure.message)
        fault, figures = self.journal.fault, self.journal.figures
        if fault is not None:
            return Health(detail=fault.message, degraded=True)
        return Health(detail=f"{figures.writes} writes in {figures.commits} commits, {figures.pending} waiting")

    def _ended(self) -> None:
        if self.journal.failure is not None:
            self._died(self.journal.failure.message)
