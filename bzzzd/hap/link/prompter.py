"""What the portal asks and says about prompts over the connection: reads and proves them, signs and carries answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from bzzzd.errors import BzzzError, NotAllowed
from bzzzd.hap.feeds import feed, prompts
from bzzzd.hap.files.outbox import Outbox
from bzzzd.hap.link.carrier import Carrier
from bzzzd.hap.link.proof import prove
from bzzzd.hap.link.signing import Person, place_to_answer
from bzzzd.hap.messages import Answered, Message, Refused
from bzzzd.hap.values.asked import Sending
from bzzzd.rpc.client import AsyncClient


class Prompter:
    """``person`` is None when there is no usable key; ``client`` gives the connection of now."""

    def __init__(
        self,
        person: Person | None,
        outbox: Outbox,
        client: Callable[[], AsyncClient | None],
        send: Callable[[Message], None],
    ) -> None:
        self._person = person
        self._client = client
        self._send = send
        self._carrier = Carrier(outbox, client, send)

    def close(self) -> None:
        self._carrier.close()

    async def begin(self) -> None:
        """Tell which answers are on their way from an earlier portal, also while bzzzd is away."""
        await self._carrier.told()

    async def carry(self, mesh_id: str) -> None:
        """Send what waits in the outbox for this mesh."""
        await self._carrier.all(mesh_id)

    async def open(self, id: str) -> None:
        """Read a prompt's document and prove it, off the loop: a chain has several signatures."""
        client = self._client()
        try:
            if client is None:
                raise NotAllowed("the portal is leaving")
            value = await client.call("prompt.show", {"id": id}, effects=False)
            trust = self._person.trust() if self._person is not None else None
            asked = await asyncio.to_thread(prove, value, trust, time.time())
        except BzzzError as error:
            self._send(Refused(("prompt", id), feed.fault(error.to_map())))
        else:
            self._send(Answered(("prompts",), (prompts.one_prompt(value),)))
            self._send(Answered(("prompt", id), asked))

    async def look(self, prompt: str, task: str) -> None:
        """Tell that it is on the screen; nothing depends on it, so it is told once."""
        client = self._client()
        if client is None or self._person is None or client.state.attached is None or client.state.hello is None:
            return
        with contextlib.suppress(BzzzError):
            await client.call("prompt.seen", self._person.look(client.state.hello.mesh_id, prompt, task))

    async def answer(self, sending: Sending) -> None:
        """Sign an answer with what the daemon told last, or without a daemon with what was pinned, and carry it."""
        client, prepared = self._client(), None
        attached = client.state.attached if client is not None else None
        try:
            if self._person is None:
                raise NotAllowed("there is no usable key to sign with")
            if client is not None and attached is not None and (sending.text is not None or sending.fields is not None):
                prepared = await client.call("context.prepare", place_to_answer(attached, sending), effects=False)
            letter = await asyncio.to_thread(self._person.letter, sending, attached, prepared)
        except BzzzError as error:
            self._send(Refused(("reply", sending.id), feed.fault(error.to_map())))
        else:
            await self._carrier.answer(letter)

    async def protect(self, passphrase: str) -> None:
        """Keep the person's key under another passphrase."""
        try:
            if self._person is None:
                raise NotAllowed("there is no usable key to protect")
            await asyncio.to_thread(self._person.protect, passphrase)
        except BzzzError as error:
            self._send(Refused(("protect",), feed.fault(error.to_map())))
        else:
            self._send(Answered(("protect",), bool(passphrase)))
