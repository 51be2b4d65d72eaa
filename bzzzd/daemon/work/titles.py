"""Titles of tasks for those who may read them: a bounded cache over the encrypted briefs."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from bzzzd.errors import BadInput, NotAllowed, NotFound, StorageFailed
from bzzzd.slurp.brief import Brief, open_brief
from bzzzd.storage.versions.context import ContextStore, Found

_KEPT: Final = 16_384


class _Title(NamedTuple):
    text: str
    asked_by: str
    readers: frozenset[str]


class Titles:
    """By the brief's version id, which binds the text, so an entry is never stale."""

    def __init__(self, contexts: ContextStore) -> None:
        self._contexts = contexts
        self._held: OrderedDict[str, _Title] = OrderedDict()

    def remember(self, brief: str, said: Brief, readers: frozenset[str]) -> None:
        self._held[brief] = _Title(said.title, said.asked_by, readers)
        while len(self._held) > _KEPT:
            self._held.popitem(last=False)

    def known(self, brief: str, role: str) -> str | None:
        """The title when it is in memory and ``role`` may read it."""
        found = self._held.get(brief)
        return found.text if found is not None and role in found.readers else None

    def asked_by(self, brief: str, role: str) -> str | None:
        """For which guest a node wrote it, under the same conditions."""
        found = self._held.get(brief)
        return (found.asked_by or None) if found is not None and role in found.readers else None

    async def find(self, brief: str, role: str) -> str | None:
        """The title for a caller of ``role``, decrypted when need be; ``None`` when it may not read it."""
        if not role:
            return None
        if brief not in self._held:
            await self.brief(brief, role)
        return self.known(brief, role)

    async def brief(self, brief: str, role: str) -> Brief | None:
        """The whole brief; ``None`` when ``role`` may not read it or it is not stored here."""
        try:
            found: Found = await self._contexts.get_id(brief, (role,))
            text = open_brief(found.content)
        except (NotAllowed, NotFound, BadInput, StorageFailed):
            return None
        version = found.version
        self.remember(brief, text, frozenset({*version.header.readers, version.writer_role}))
        return text
