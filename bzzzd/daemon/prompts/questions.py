"""Questions for those who may read them: a bounded cache over the encrypted documents."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from bzzzd.errors import BadInput, BzzzError, NotAllowed, NotFound, StorageFailed
from bzzzd.slurp.question import Question, check_digest
from bzzzd.storage.versions.context import ContextStore

_KEPT: Final = 4096
_TITLE_CHARS: Final = 200


class Shown(NamedTuple):
    """A document as its asker signed it: its bytes, the raw header, the grants of the asker, where it lies."""

    document: bytes | None
    header: bytes
    chain: tuple[bytes, ...]
    address: str


class _Title(NamedTuple):
    text: str
    readers: frozenset[str]


class Questions:
    """By the version's id, which binds the text, so an entry is never stale."""

    def __init__(self, contexts: ContextStore) -> None:
        self._contexts = contexts
        self._held: OrderedDict[str, _Title] = OrderedDict()

    def remember(self, version: str, question: Question, readers: frozenset[str]) -> None:
        self._held[version] = _Title(question.title[:_TITLE_CHARS], readers)
        while len(self._held) > _KEPT:
            self._held.popitem(last=False)

    def title(self, version: str, role: str) -> str | None:
        """The title when it is in memory and ``role`` may read it."""
        found = self._held.get(version)
        return found.text if found is not None and role in found.readers else None

    async def find(self, version: str, digest: str, role: str) -> str | None:
        """The title for a caller of ``role``, decrypted when need be; ``None`` when it may not read it."""
        if role and version not in self._held:
            await self.document(version, digest, role)
        return self.title(version, role)

    async def document(self, version: str, digest: str, role: str) -> bytes | None:
        """The document's bytes; ``None`` when ``role`` may not read it, or it is not to be had or not what was told."""
        if not role:
            return None
        try:
            found = await self._contexts.get_id(version, (role,))
            question = check_digest(found.content, digest)
        except (NotAllowed, NotFound, BadInput, StorageFailed):
            return None
        header = found.version.header
        self.remember(version, question, frozenset({*header.readers, found.version.writer_role}))
        return found.content

    async def shown(self, version: str, digest: str, role: str) -> Shown:
        """All that a reader needs to check it; raises ``NotFound`` where no holder can be reached."""
        document = await self.document(version, digest, role)
        carried = await self._contexts.carry(version, content=False)
        address = self._contexts.inspect(carried).header.address
        return Shown(document, carried.header, carried.chain, address)

    async def value(self, version: str, role: str) -> bytes | None:
        """The value of an answer, for a caller of ``role``."""
        try:
            return await self._contexts.content(version, (role,))
        except BzzzError:
            return None
