"""The store of a node: journal, content, role keys, context and messages, opened and closed together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

from bzzzd.config.schema import StorageSection
from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.grants import Trust
from bzzzd.runtime.services import Health
from bzzzd.slurp.schema import MAJOR, NAME
from bzzzd.slurp.schema import SCHEMA as LEDGER_TABLES
from bzzzd.storage.content import ContentStore
from bzzzd.storage.context import SCHEMAS, ContextStore, Writer
from bzzzd.storage.invitations import SCHEMA as INVITATIONS
from bzzzd.storage.journal import Journal, Schema
from bzzzd.storage.messages import SCHEMA as MESSAGES
from bzzzd.storage.messages import Limits, MessageStore
from bzzzd.storage.rolekeys import RoleKeys
from bzzzd.ucxl.address import Address

_ALL: Final = (Schema(NAME, MAJOR, LEDGER_TABLES), *SCHEMAS, MESSAGES, INVITATIONS)


class Store:
    """Made empty; after ``start`` every part is there. ``died(why)`` hears when the journal's thread ends by itself.

    ``obtain(roles)`` tries to get the role secrets that a reader lacks.
    """

    name = "store"
    depends = ("identity",)

    journal: Journal
    contexts: ContextStore
    messages: MessageStore

    def __init__(
        self,
        state: Path,
        settings: StorageSection,
        key: SigningKey,
        mesh_id: str,
        rolekeys: RoleKeys,
        may_write: Callable[[Writer, Address], bool],
        chain_of: Callable[[bytes], Sequence[bytes]],
        trust: Trust,
        died: Callable[[str], None],
        obtain: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._state = state
        self._settings = settings
        self._key = key
        self._mesh_id = mesh_id
        self._rolekeys = rolekeys
        self._may_write = may_write
        self._chain_of = chain_of
        self._trust = trust
        self._died = died
        self._obtain = obtain
        self._opened = False

    async def start(self) -> None:
        settings = self._settings
        self.journal = journal = await Journal.open(self._state / "journal.sqlite", _ALL)
        self._opened = True
        journal.ended.add_done_callback(lambda _: self._ended())
        content = await ContentStore.open(journal, self._state / "content", settings.inline_bytes)
        self.contexts = ContextStore(
            journal, content, self._rolekeys, self._mesh_id,
            may_write=self._may_write, max_content_bytes=settings.max_content_bytes,
            chain_of=self._chain_of, trust=self._trust, obtain=self._obtain,
        )  # fmt: skip
        self.messages = MessageStore(journal, self._key, self._mesh_id, Limits(messages=settings.topic_keep_messages))

    async def stop(self) -> None:
        if self._opened:
            await self.journal.close()

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
