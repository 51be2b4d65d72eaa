"""Joining by invitation, the part that carries bytes: the join protocol's other opening.

    joiner                                      inviter
      ── invitation's id ──────────────────────►   counts the try
      ◄──────────────────────────── challenge ──   32 random bytes, for this try alone
      ── ask, proof ───────────────────────────►   what they mean is decided elsewhere
      ◄────────────────────────────── outcome ──   then both close

A try is short: while a person decides, the joiner comes again. Nothing of a try makes its peer a member;
that takes a grant, shown in the protocol's first opening.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Final

import msgspec
import trio
from libp2p.abc import INetStream
from libp2p.peer.id import ID
from msgspec import Meta, Struct

from bzzzd.errors import (
    UNREADABLE,
    BadInput,
    BzzzError,
    InvalidEnvelope,
    InvitationRefused,
    MalformedFrame,
    Overloaded,
    P2PInitFailed,
    TooLarge,
    Unavailable,
)
from bzzzd.mesh.addresses import parse_peers
from bzzzd.mesh.describe import describe
from bzzzd.mesh.frames import frame, last_words, read_frame
from bzzzd.mesh.host import MemberHost
from bzzzd.mesh.network import MemberSwarm, endpoints_of
from bzzzd.mesh.protocols import JOIN, JoinFrame
from bzzzd.mesh.streams import error_bytes, error_of
from bzzzd.mesh.turnstile import Turnstile
from bzzzd.mesh.values import MAX_CHAIN_BYTES, Counters, JoinTry

_CHALLENGE_BYTES: Final = 32
_ASK_BYTES: Final = 8192
_OUTCOME_BYTES: Final = 2 * MAX_CHAIN_BYTES
_LINGER_S: Final = 1.0
_DIAL_S: Final = 5.0
_GUESSES: Final = frozenset({"proof", "unknown", "replayed", "void"})
_OK: Final = b"\0"

# What decides about a try, on the other side of the bridge; it raises to refuse.
Decide = Callable[[JoinTry], Awaitable[bytes]]


class InviteFrame(Struct, frozen=True, omit_defaults=True):
    """The frames after the opening. Unknown fields are skipped."""

    challenge: Annotated[bytes, Meta(max_length=64)] = b""
    ask: Annotated[bytes, Meta(max_length=4096)] = b""
    proof: Annotated[bytes, Meta(max_length=64)] = b""
    outcome: bytes = b""


_DECODER: Final = msgspec.msgpack.Decoder(InviteFrame)


async def _say(stream: INetStream, word: InviteFrame) -> None:
    await stream.write(frame(msgspec.msgpack.encode(word)))


async def _hear(stream: INetStream, limit: int) -> InviteFrame:
    try:
        return _DECODER.decode(await read_frame(stream, limit))
    except UNREADABLE as error:
        raise MalformedFrame(f"an invitation's frame has a wrong shape: {error}") from error


class Reception:
    """The inviter's side: bounds the tries, and carries each to ``decide``."""

    def __init__(self, decide: Decide, tally: Counters) -> None:
        self._decide = decide
        self._tally = tally
        self._turnstile = Turnstile()

    async def answer(self, stream: INetStream, invitation: bytes) -> None:
        """One try on a stream whose opening has been read. Bound its time outside."""
        address = (stream.get_remote_address() or ("unknown", 0))[0]
        why = self._turnstile.enter(address, trio.current_time())
        self._tally.join_tries += 1
        if why:
            self._tally.join_refused += 1
            await self._end(stream, error_bytes(Overloaded(why)))
            return
        try:
            await self._end(stream, await self._outcome(stream, invitation, address))
        finally:
            self._turnstile.leave(address)

    async def _outcome(self, stream: INetStream, invitation: bytes, address: str) -> bytes:
        challenge = secrets.token_bytes(_CHALLENGE_BYTES)
        peer_id = str(stream.muxed_conn.peer_id)
        await _say(stream, InviteFrame(challenge=challenge))
        try:
            word = await _hear(stream, _ASK_BYTES)
            known = word.challenge == challenge
            tried = JoinTry(peer_id, address, invitation, challenge if known else b"", word.ask, word.proof)
            outcome = await self._decide(tried)
        except BzzzError as error:
            self._tally.join_refused += 1
            if isinstance(error, MalformedFrame | InvalidEnvelope | TooLarge) or error.data.get("reason") in _GUESSES:
                self._turnstile.wrong(address, trio.current_time())
            return error_bytes(error)
        self._turnstile.right(address)
        return _OK + outcome

    @staticmethod
    async def _end(stream: INetStream, outcome: bytes) -> None:
        await _say(stream, InviteFrame(outcome=outcome))
        with trio.move_on_after(_LINGER_S):  # closing at once could overtake the answer
            await stream.read(1)


class Visits:
    """The joiner's side: dials an inviter that is not a member of anything here, asks, and leaves."""

    def __init__(self, host: MemberHost, swarm: MemberSwarm) -> None:
        self._host = host
        self._swarm = swarm

    async def ask(
        self,
        peer_id: str,
        addresses: Sequence[str],
        invitation: bytes,
        ask: bytes,
        prove: Callable[[bytes], bytes],
        timeout_s: float,
    ) -> bytes:
        """Give the inviter's outcome, or raise what it refused with; ``Unavailable`` where it was not reached."""
        inviter = ID.from_base58(peer_id)
        if inviter == self._host.get_id():
            raise BadInput("this invitation was made by this very node; use it on the machine that is to join")
        try:
            with trio.fail_after(timeout_s):
                await self._reach(inviter, addresses)
                try:
                    return await self._ask(inviter, invitation, ask, prove)
                finally:
                    if not self._host.is_member(inviter):
                        for connection in self._swarm.get_connections(inviter):
                            await self._swarm.end(connection)
        except trio.TooSlowError:
            raise Unavailable(f"the inviter {peer_id} did not answer within {timeout_s:g} s") from None
        except BzzzError:
            raise
        except Exception as error:  # libp2p's own errors: closed, reset, protocol not spoken
            raise Unavailable(f"joining by {peer_id} broke off: {describe(error)}") from error

    async def _reach(self, inviter: ID, addresses: Sequence[str]) -> None:
        if self._swarm.open_to(inviter):
            return
        faults: list[str] = []
        try:
            found = parse_peers([f"{address}/p2p/{inviter}" for address in addresses], self._host.get_id())
        except P2PInitFailed as error:
            raise BadInput("this invitation holds an address that cannot be dialled; have a new one made") from error
        for peer in found:
            try:
                with trio.fail_after(_DIAL_S):
                    for endpoint in (await endpoints_of(peer.address))[:1]:
                        await self._swarm.reach(endpoint, inviter)
                return
            except trio.TooSlowError:
                faults.append(f"{peer.address}: no answer within {_DIAL_S:g} s")
            except OSError as error:
                faults.append(f"{peer.address}: {error.strerror or error}")
            except Exception as error:  # libp2p's own errors: most of all, that somebody else answers there
                faults.append(f"{peer.address} does not answer as the inviter: {describe(error)}")
        raise Unavailable(f"the inviter cannot be reached ({'; '.join(faults)}); check its address and firewall")

    async def _ask(self, inviter: ID, invitation: bytes, ask: bytes, prove: Callable[[bytes], bytes]) -> bytes:
        stream = await self._host.new_stream(inviter, [JOIN])
        try:
            await stream.write(frame(msgspec.msgpack.encode(JoinFrame(invitation=invitation))))
            word = await _hear(stream, _OUTCOME_BYTES)
            if not word.outcome:
                await _say(stream, InviteFrame(challenge=word.challenge, ask=ask, proof=prove(word.challenge)))
                word = await _hear(stream, _OUTCOME_BYTES)
        finally:
            with last_words(1):
                await stream.close()
        if word.outcome[:1] == _OK:
            return word.outcome[1:]
        error = error_of(word.outcome[1:])
        if isinstance(error, InvitationRefused | Overloaded | Unavailable):
            raise error
        raise InvitationRefused(f"the inviter refused: {error.message}", reason=str(error.data.get("reason", "other")))
