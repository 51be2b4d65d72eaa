"""Admission: the join protocol, in which two peers show each other their grants before anything else.

    dialler                                   listener
      ── chain, heads ──────────────────────►   checks; refused: answers why, closes
      learns, checks       ◄─ chain, papers ──   the dialler is a member here now
      refused: closes
      ── ok, papers ────────────────────────►   learns; opens its own streams
      opens its own streams

The order matters: whoever opens a stream does so after the other side has entered it, so no stream of
a member is ever refused for being early. Heads and papers are the briefing: who has missed a revocation
learns of it here, before it opens anything. Frames and time are bounded; a peer that was refused is not
looked at again before a pause that doubles. A dialler without a chain that opens with an invitation's id
is handed to ``invited``, and is a stranger afterwards as before.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from bzzzd.errors import UNREADABLE, BzzzError, GrantRefused, MalformedFrame, Unavailable
from bzzzd.mesh.describe import describe
from bzzzd.mesh.frames import frame, last_words, read_frame
from bzzzd.mesh.membership import Member, Membership, Patience
from bzzzd.mesh.protocols import JOIN, JoinFrame
from bzzzd.mesh.values import MAX_CHAIN_BYTES, MAX_PAPERS_BYTES, Briefing, How

_LONGEST_REASON: Final = 300
_LINGER_S: Final = 1.0
_MAX_BRIEFED_BYTES: Final = MAX_PAPERS_BYTES + MAX_CHAIN_BYTES


_DECODER: Final = msgspec.msgpack.Decoder(JoinFrame)
OpenStream = Callable[[ID, Sequence[TProtocol]], Awaitable[INetStream]]
Entered = Callable[[Member], None]
Refused = Callable[[ID, str], None]
Invited = Callable[[INetStream, bytes], Awaitable[None]]
Learn = Callable[[ID, bytes], Awaitable[None]]
Renew = Callable[[ID, Sequence[bytes]], Awaitable[tuple[bytes, ...]]]
Renewed = Callable[[Sequence[bytes]], Awaitable[None]]


async def _say(stream: INetStream, word: JoinFrame) -> None:
    await stream.write(frame(msgspec.msgpack.encode(word)))


async def _hear(stream: INetStream, limit: int = MAX_CHAIN_BYTES) -> JoinFrame:
    raw = await read_frame(stream, limit)
    try:
        return _DECODER.decode(raw)
    except UNREADABLE as error:
        raise MalformedFrame(f"a join frame has a wrong shape: {error}") from error


class Admission:
    """Runs the join protocol on both sides and keeps the members' table.

    ``entered`` is called once this side may open streams to a member, ``refused`` when a peer was not let in;
    ``superseded`` when it knows of no connection but that of the stream. ``invited(stream, id)`` carries on with a
    joiner that opens with an invitation. ``learn(peer, papers)`` waits until what a briefing brought is in force.
    ``renew(peer, chain)`` finds a newer chain for a peer whose own was refused, ``renewed(chain)`` takes this node's.
    """

    def __init__(
        self,
        members: Membership,
        own_chain: Sequence[bytes],
        *,
        timeout_s: float,
        entered: Entered,
        refused: Refused,
        invited: Invited,
        briefing: Briefing,
        learn: Learn,
        superseded: Callable[[INetStream], None],
        renew: Renew,
        renewed: Renewed,
    ) -> None:
        self.members = members
        self._own_chain = tuple(own_chain)
        self._timeout_s = timeout_s
        self._entered = entered
        self._refused = refused
        self._invited = invited
        self._briefing = briefing
        self._learn = learn
        self._superseded = superseded
        self._renew = renew
        self._renewed = renewed
        self._patience: Patience[bytes] = Patience()
        self._settled: dict[bytes, trio.Event] = {}
        self.opened = trio.Event()
        """Whoever comes before waits, for as long as joining may take."""

    async def join(self, open_stream: OpenStream, peer_id: ID, how: How, *, alone: bool = False) -> Member:
        """The dialler's side; ``alone`` when it has no other connection to the peer.

        Raises what refused: either side's word, or ``Unavailable`` when it breaks off.
        """
        try:
            with trio.fail_after(self._timeout_s):
                stream = await open_stream(peer_id, [JOIN])
                try:
                    return await self._ask(stream, peer_id, how, alone)
                finally:
                    with last_words(1):
                        await stream.close()
        except trio.TooSlowError:
            raise Unavailable(f"peer {peer_id} did not finish joining within {self._timeout_s:g} s") from None
        except BzzzError as error:
            self._refused(peer_id, error.message)
            raise
        except Exception as error:  # libp2p's own errors: closed, reset, protocol not spoken
            raise Unavailable(f"joining peer {peer_id} broke off: {describe(error)}") from error

    async def _ask(self, stream: INetStream, peer_id: ID, how: How, alone: bool) -> Member:
        await _say(stream, JoinFrame(chain=self._own_chain, heads=self._briefing.heads(), alone=alone))
        answer = await _hear(stream, _MAX_BRIEFED_BYTES)
        if answer.renewed:
            await self._renewed(answer.renewed)
            raise Unavailable(f"peer {peer_id} gave this node a newer grant to come with")
        if answer.refused:
            raise GrantRefused(f"peer {peer_id} refused this node: {answer.refused[:_LONGEST_REASON]}")
        if answer.papers:
            self.members.check(peer_id.to_bytes(), answer.chain)
            await self._learn(peer_id, answer.papers)
        member = self._enter(peer_id, answer.chain, how)
        await _say(stream, JoinFrame(ok=True, papers=self._briefing.missing(answer.heads)))
        self._entered(member)
        return member

    async def answer(self, stream: INetStream) -> None:
        """The listener's side: the handler of the join protocol, the only one that a stranger reaches."""
        peer_id = stream.muxed_conn.peer_id
        with trio.move_on_after(self._timeout_s):
            opening: JoinFrame | None = None
            try:
                opening = await _hear(stream)
                await self.opened.wait()
                if opening.invitation:
                    await self._receive(stream, opening.invitation)
                    return
                if not self._patience.ready(peer_id.to_bytes(), trio.current_time()):
                    self._settle(peer_id.to_bytes())
                    return
                member = self._enter(peer_id, opening.chain, "inbound")
                if opening.alone:
                    self._superseded(stream)
            except BzzzError as error:
                if not await self._gave_newer(stream, error, opening.chain if opening is not None else ()):
                    await self._turn_away(stream, error.message)
                return
            papers = self._briefing.missing(opening.heads)
            await _say(stream, JoinFrame(chain=self._own_chain, heads=self._briefing.heads(), papers=papers))
            consent = await _hear(stream, _MAX_BRIEFED_BYTES)
            if consent.papers:
                await self._learn(peer_id, consent.papers)
            if consent.ok and peer_id.to_bytes() in self.members:
                self._entered(member)

    async def _gave_newer(self, stream: INetStream, error: BzzzError, chain: Sequence[bytes]) -> bool:
        """Give a peer whose grant has ended a newer one, if there is one for it; it comes again with that."""
        if not chain or not isinstance(error, GrantRefused):
            return False
        peer_id = stream.muxed_conn.peer_id
        newer = await self._renew(peer_id, chain)
        if newer:
            self._patience.forget(peer_id.to_bytes())
            await _say(stream, JoinFrame(renewed=newer))
            with trio.move_on_after(_LINGER_S):
                await stream.read(1)
            self._settle(peer_id.to_bytes())
        return bool(newer)

    def show(self, chain: Sequence[bytes]) -> None:
        """Join with this chain from now on."""
        self._own_chain = tuple(chain)

    async def _receive(self, stream: INetStream, invitation: bytes) -> None:
        try:
            await self._invited(stream, invitation)
        finally:
            self._settle(stream.muxed_conn.peer_id.to_bytes())

    def _enter(self, peer_id: ID, chain: Sequence[bytes], how: How) -> Member:
        raw_id = peer_id.to_bytes()
        member = self.members.add(raw_id, chain, now=time.time(), how=how)
        self._patience.forget(raw_id)
        self._settle(raw_id)
        return member

    async def _turn_away(self, stream: INetStream, reason: str) -> None:
        peer_id = stream.muxed_conn.peer_id
        self._patience.refused(peer_id.to_bytes(), trio.current_time())
        self._refused(peer_id, reason)
        try:
            await _say(stream, JoinFrame(refused=reason[:_LONGEST_REASON]))
            with trio.move_on_after(_LINGER_S):  # closing at once could overtake the answer
                await stream.read(1)
        finally:
            self._settle(peer_id.to_bytes())

    def _settle(self, raw_id: bytes) -> None:
        event = self._settled.pop(raw_id, None)
        if event is not None:
            event.set()

    async def settled(self, peer_id: ID) -> bool:
        """Wait until ``peer_id`` was let in or turned away; whether it is a member. Bound the time outside."""
        raw_id = peer_id.to_bytes()
        if raw_id not in self.members:
            event = self._settled.setdefault(raw_id, trio.Event())
            try:
                await event.wait()
            finally:
                if self._settled.get(raw_id) is event and not event.statistics().tasks_waiting:
                    self._settled.pop(raw_id, None)
        return raw_id in self.members
