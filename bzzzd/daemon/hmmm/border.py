"""What a node checks before it keeps a thread's message: of a caller of its own, or of another node."""

from __future__ import annotations

import time
from collections.abc import Callable

from bzzzd.crypto.envelope import Envelope
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.hmmm.wire import Item
from bzzzd.errors import InvalidEnvelope, NotAllowed
from bzzzd.hmmm.message import Message, check_named, check_text, message_id, open_message, open_text
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Trust
from bzzzd.slurp.commands import Author
from bzzzd.storage.threads import Kept
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.rows import Pending

# A message that waited in a portal's outbox is still taken after so many seconds; its own time stands.
POST_AGE_S = 300.0
_SPEAKERS = ("person", "agent")


class Border:
    """Gives a message ready to be kept, with its text ready to be inserted; nothing is stored here."""

    def __init__(
        self, contexts: ContextStore, gate: Gate, trust: Trust, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._contexts = contexts
        self._gate = gate
        self._trust = trust
        self._clock = clock

    def opened(self, raw: bytes, caller: Caller) -> tuple[Envelope, Message]:
        """A message that its author posts here: its signature, its age and its author's right to write.

        Raises ``InvalidEnvelope``, ``TooLarge`` or ``NotAllowed``.
        """
        now = self._clock()
        envelope, message = open_message(raw, self._trust.mesh_id, now=now)
        self._gate.check(caller, "hmmm.post", f"thread:{message.thread}", "write")
        if envelope.author != caller.key:
            raise NotAllowed("a message is posted by the session of its author; this one is signed by another key")
        if now - message.at > POST_AGE_S:
            raise InvalidEnvelope(
                f"this message was signed {now - message.at:.0f} s ago, and is posted within {POST_AGE_S:g} s; "
                "sign it again",
                limit_s=POST_AGE_S,
            )
        return envelope, message

    async def written(
        self, envelope: Envelope, message: Message, caller: Caller, header: bytes, content: bytes
    ) -> tuple[Kept, Pending]:
        """The same with its text, encrypted. Raises what ``ContextStore.check`` raises, and ``BadInput``."""
        text = open_text(content)
        check_text(message, text)
        assert caller.key is not None
        author = Author(caller.id, caller.kind, caller.role, tuple(caller.capabilities), caller.key)
        pending = await self._contexts.check(header, content, author)
        try:
            check_named(message, pending.header, pending.id, caller.id, caller.role)
            self._gate.check_readers(caller.role, pending.header.content_type, pending.header.readers)
        except (InvalidEnvelope, NotAllowed):
            await self._contexts.discard(pending)
            raise
        kind = "person" if caller.kind == "admin" else caller.kind
        return _kept(envelope, message, caller.id, kind, caller.role), pending

    async def discard(self, text: Pending) -> None:
        """What was checked is not kept after all."""
        await self._contexts.discard(text)

    async def inspect(self, item: Item, holder: bytes | None) -> tuple[Kept, Pending]:
        """What came from another node (``holder``): by the grants of its own time, with the text as it travels.

        Raises ``InvalidEnvelope``, ``TooLarge``, ``GrantRefused`` or ``NotAllowed``.
        """
        envelope, message = open_message(item.raw, self._trust.mesh_id, now=self._clock())
        pending = self._contexts.inspect(item.text)
        grant = self._trust.read_leaf(item.text.chain)
        if pending.writer != envelope.author:
            raise InvalidEnvelope("a message came with the text of somebody else")
        if grant.kind not in _SPEAKERS:
            raise NotAllowed(f"{grant.kind} {grant.id} speaks on no thread; people and agents do")
        check_named(message, pending.header, pending.id, grant.id, grant.role)
        self._gate.check_grant(grant, f"thread:{message.thread}", "write")
        pending = await self._contexts.verify(item.text, holder=holder)
        return _kept(envelope, message, grant.id, grant.kind, grant.role), pending


def _kept(envelope: Envelope, message: Message, id: str, kind: str, role: str) -> Kept:
    return Kept(
        message.thread, message.at, message_id(envelope.author, envelope.payload), envelope.author, id, kind, role,
        envelope.raw,
    )  # fmt: skip
