"""Threads as a caller may see them: what is visible to every member, and the texts that its role may read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from bzzzd.daemon.hmmm.book import Talk
from bzzzd.errors import BadInput, NotAllowed, NotFound, StorageFailed, TooLarge, Unavailable
from bzzzd.hmmm.message import Message, Text, open_text
from bzzzd.hmmm.thread import Said
from bzzzd.identity.caller import Caller
from bzzzd.storage.threads import Kept
from bzzzd.storage.versions.context import ContextStore

# Decrypted texts in memory, in characters.
_TEXT_CHARS: Final = 2_000_000
# How many of the newest messages are looked at to say whether a thread waits for somebody.
_LOOKED_AT: Final = 64


class Read(NamedTuple):
    """A decrypted text with the roles that may see it."""

    text: Text
    readers: frozenset[str]


class Shown:
    """Maps of threads and messages. Texts are decrypted once, and kept for a while by their version's id."""

    def __init__(self, contexts: ContextStore) -> None:
        self._contexts = contexts
        self._texts: OrderedDict[str, Read] = OrderedDict()
        self._chars = 0

    async def text(self, version: str, role: str) -> Read | None:
        """The text of a version for a caller of ``role``; ``None`` where it may not, or cannot, be read here."""
        if not role:
            return None
        held = self._texts.get(version)
        if held is not None:
            self._texts.move_to_end(version)
            return held if role in held.readers else None
        return await self.read(version, (role,))

    async def read(self, version: str, roles: tuple[str, ...]) -> Read | None:
        """The text and its readers, for ``roles``."""
        try:
            found = await self._contexts.get_id(version, roles)
            text = open_text(found.content)
        except (NotAllowed, NotFound, BadInput, TooLarge, StorageFailed, Unavailable):
            return None
        read = Read(text, frozenset({*found.version.header.readers, found.version.writer_role}))
        if version not in self._texts:
            self._texts[version] = read
            self._chars += _weight(read)
            while self._chars > _TEXT_CHARS:
                self._chars -= _weight(self._texts.popitem(last=False)[1])
        return read

    async def anyhow(self, version: str) -> Read | None:
        """The text where this node can open it for anybody: what followers of the stream are shown by their roles."""
        held = self._texts.get(version)
        if held is not None:
            return held
        try:
            row = await self._contexts.show_id(version)
        except NotFound:
            return None
        return await self.read(version, (*row.header.readers, row.writer_role))

    async def message(self, talk: Talk, said: Said, caller: Caller, now: float) -> dict[str, Any]:
        """One message for a caller."""
        kept, message = talk.kept[said.id]
        return message_map(talk, kept, message, await self.text(message.version, caller.role), now)

    async def thread(self, thread: str, talk: Talk, caller: Caller, now: float) -> dict[str, Any]:
        """One thread for a caller."""
        state = talk.thread
        first = next(iter(state.said), None)
        text = await self.text(talk.kept[first.id][1].version, caller.role) if first is not None else None
        return {
            **thread_map(thread, talk, now),
            "subject": None if text is None else subject_of(text.text),
            "for_me": state.state(now) != "closed" and await self._for(talk, caller),
        }

    async def _for(self, talk: Talk, caller: Caller) -> bool:
        """Whether somebody has turned to the caller since the caller last spoke."""
        for said in reversed(talk.thread.said[-_LOOKED_AT:]):
            if said.by.key == caller.key:
                return False
            text = await self.text(talk.kept[said.id][1].version, caller.role)
            if text is not None and addressed(text.text.to, caller):
                return True
        return False


def _weight(read: Read) -> int:
    """About how many characters it keeps in memory."""
    return len(read.text.text) + sum(map(len, read.text.refs)) + 500


def addressed(to: Iterable[str], caller: Caller) -> bool:
    """Whether the caller, or the caller's role, is among those whom a text turns to."""
    return not {caller.id, f"role:{caller.role}"}.isdisjoint(to)


def subject_of(text: Text) -> str:
    """A thread's subject by its first message, whose beginning it is where that gives none."""
    return text.subject or " ".join(text.text.split())[:100]


def thread_map(thread: str, talk: Talk, now: float) -> dict[str, Any]:
    """What every member may see of a thread."""
    state = talk.thread
    last = state.said[-1] if state.said else None
    return {
        "id": thread, "task": thread if thread.startswith("t-") else None,
        "participants": [speaker.id for speaker in state.participants.values()], "count": len(state.said),
        "last_at": last.at if last else 0.0, "last_kind": last.kind if last else "",
        "last_by": last.by.id if last else "", "state": state.state(now), "window_ends": state.window_ends(now),
        "escalated": any(said.kind == "escalation" and said.id not in state.aside for said in state.said),
    }  # fmt: skip


def message_map(talk: Talk, kept: Kept, message: Message, read: Read | None, now: float) -> dict[str, Any]:
    """A message with its text where that may be shown."""
    state, hidden = talk.thread, hidden_map(read)
    proposal = state.proposals.get(kept.id)
    return {
        "id": kept.id, "thread": kept.thread, "kind": message.kind,
        "by": {"id": kept.by_id, "kind": kept.by_kind, "role": kept.by_role}, "at": message.at,
        "reply_to": message.reply_to, "hops": state.hops.get(kept.id, 0), "aside": state.aside.get(kept.id, ""),
        "window_ends": proposal.ends if proposal else None, "standing": proposal.standing(now) if proposal else None,
        "objections": list(proposal.objections) if proposal else [], "version": message.version,
        "refs_count": message.refs, **hidden,
    }  # fmt: skip


def hidden_map(read: Read | None) -> dict[str, Any]:
    """What only the readers of a message are shown of it."""
    if read is None:
        return {
            "readable": False, "text": None, "subject": None, "refs": [], "to": [], "reason": None, "readers": [],
        }  # fmt: skip
    text = read.text
    return {
        "readable": True, "text": text.text, "subject": text.subject, "refs": list(text.refs), "to": list(text.to),
        "reason": text.reason, "readers": sorted(read.readers),
    }  # fmt: skip
