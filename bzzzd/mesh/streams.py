"""Request streams: questions and answers between two members, one after the other on a stream.

    request   frame(data)
    answer    frame(0x00 ‖ data)   or   frame(0x01 ‖ msgpack {code, message, data}), which ends the stream

Opening a stream costs more than a question, so the asker keeps a few that are idle and uses them again.
Sizes, times and the number of requests at once (per peer and in all) are bounded on both sides. An
error of the handler travels with its code and is raised at the asker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Final

import msgpack
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.id import ID
from libp2p.protocol_muxer.exceptions import MultiselectClientError

from bzzzd.errors import BzzzError, MalformedFrame, NotFound, Overloaded, Unavailable, UnknownOutcome, from_map
from bzzzd.mesh.describe import describe
from bzzzd.mesh.frames import frame, last_words, read_frame
from bzzzd.mesh.host import MemberHost
from bzzzd.mesh.negotiation import BrokenOff
from bzzzd.mesh.values import Counters

_OK: Final = b"\0"
_ERROR: Final = b"\1"
_SERVED_AT_ONCE: Final = 128
_SERVED_PER_PEER: Final = 32
_SERVE_S: Final = 120.0
# The asker drops an idle stream before the server does, so that no question meets a closing stream.
_IDLE_S: Final = 30.0
_SILENCE_S: Final = 60.0
_IDLE_STREAMS: Final = 4

# What answers a request on the other side of the bridge: (protocol, peer id, data) -> answer.
Answer = Callable[[str, str, bytes], Coroutine[Any, Any, bytes]]


def error_bytes(error: BzzzError) -> bytes:
    """An error as an answer carries it."""
    try:
        return _ERROR + msgpack.packb(error.to_map())
    except (TypeError, ValueError, OverflowError):  # details that MessagePack cannot carry stay here
        return _ERROR + msgpack.packb({"code": error.code, "message": error.message, "data": {}})


def error_of(raw: bytes) -> BzzzError:
    """The error in an answer, without its mark."""
    try:
        found: Any = msgpack.unpackb(raw)
    except (ValueError, msgpack.exceptions.UnpackException):
        found = None
    if not isinstance(found, dict):
        return MalformedFrame("the peer answered with an error that is no map")
    return from_map(found)


class _Idle:
    """Streams that wait for their next question, by peer and protocol. The asker gives up first."""

    def __init__(self) -> None:
        self._streams: dict[ID, dict[str, list[tuple[INetStream, float]]]] = {}
        self.stale: list[INetStream] = []
        """Streams that were kept too long: whoever asks next ends them, or they stay as long as their connection."""

    def take(self, peer_id: ID, protocol: str) -> INetStream | None:
        """One that may be used, newest first; whoever finds none opens one."""
        waiting = self._streams.get(peer_id, {}).get(protocol, [])
        while waiting:
            stream, since = waiting.pop()
            if trio.current_time() - since < _IDLE_S:
                return stream
            self.stale.append(stream)
        return None

    def give(self, peer_id: ID, protocol: str, stream: INetStream) -> bool:
        """Keep ``stream``, unless there are enough."""
        waiting = self._streams.setdefault(peer_id, {}).setdefault(protocol, [])
        if len(waiting) >= _IDLE_STREAMS:
            return False
        waiting.append((stream, trio.current_time()))
        return True

    def forget(self, peer_id: ID) -> None:
        self._streams.pop(peer_id, None)


class Requests:
    """Asks members, and serves what they ask."""

    def __init__(self, host: MemberHost, answer: Answer, *, limit: int, tally: Counters) -> None:
        self._host = host
        self._answer = answer
        self._limit = limit
        self._tally = tally
        self._serving: Counter[ID] = Counter()
        self._offered: set[str] = set()
        self._idle = _Idle()

    async def offer(self, protocols: frozenset[str]) -> None:
        """Serve exactly ``protocols`` from now on."""
        for gone in self._offered - protocols:
            self._host.remove_stream_handler(TProtocol(gone))
        for new in protocols - self._offered:
            self._host.set_stream_handler(TProtocol(new), self._serve)
        self._offered = set(protocols)

    def forget(self, peer_id: ID) -> None:
        """A peer's connections have ended, and their streams with them."""
        self._idle.forget(peer_id)

    # Asking.

    async def request(self, peer_id: ID, protocol: str, data: bytes, timeout_s: float) -> bytes:
        """Ask, and give the answer.

        Raises what the handler raised; ``Unavailable`` when the question was not sent, ``NotFound`` when
        the peer does not speak ``protocol``, ``UnknownOutcome`` when it was sent and no answer came.
        """
        sent = False
        try:
            with trio.fail_after(timeout_s):
                stream = await self._send(peer_id, protocol, frame(data))
                sent = True
                try:
                    answer = await read_frame(stream, self._limit + len(_OK))
                except BaseException:
                    with last_words(1):
                        await stream.reset()
                    raise
                if answer[:1] != _OK or not self._idle.give(peer_id, protocol, stream):
                    await stream.close()
        except trio.TooSlowError:
            raise self._broken(peer_id, protocol, f"no answer within {timeout_s:g} s", sent) from None
        except BzzzError:
            raise
        except Exception as error:  # libp2p's own errors: closed, reset
            raise self._broken(peer_id, protocol, describe(error), sent) from error
        if answer[:1] == _OK:
            return answer[1:]
        raise error_of(answer[1:])

    async def _send(self, peer_id: ID, protocol: str, question: bytes) -> INetStream:
        """Write the question to an idle stream, or to a new one when that has died meanwhile."""
        stream = self._idle.take(peer_id, protocol)
        while self._idle.stale:
            with last_words(1):
                await self._idle.stale.pop().reset()
        if stream is not None:
            try:
                await stream.write(question)
                return stream
            except Exception:  # closed or reset while it was idle: nothing of the question has arrived
                with last_words(1):
                    await stream.reset()
        stream = await self._open(peer_id, protocol)
        try:
            await stream.write(question)
        except BaseException:
            with last_words(1):
                await stream.reset()
            raise
        return stream

    async def _open(self, peer_id: ID, protocol: str) -> INetStream:
        """A new stream, tried a second time where the first one's connection ended meanwhile.

        Of two connections that crossed one is parted within seconds, and the other one is there to be used.
        """
        try:
            return await self._open_once(peer_id, protocol)
        except Unavailable:
            return await self._open_once(peer_id, protocol)

    async def _open_once(self, peer_id: ID, protocol: str) -> INetStream:
        if not self._host.is_member(peer_id):
            raise Unavailable(f"peer {peer_id} is not connected; bzzz peers shows who is", peer_id=str(peer_id))
        try:
            return await self._host.new_stream(peer_id, [TProtocol(protocol)])
        except StreamFailure as error:
            why = error.__cause__
            if isinstance(why, MultiselectClientError) and not isinstance(why, BrokenOff):
                raise NotFound(f"peer {peer_id} does not speak {protocol}", peer_id=str(peer_id)) from error
            raise Unavailable(f"peer {peer_id} cannot be asked: {why or error}", peer_id=str(peer_id)) from error
        except SwarmException as error:
            raise Unavailable(f"peer {peer_id} cannot be reached: {error}", peer_id=str(peer_id)) from error

    @staticmethod
    def _broken(peer_id: ID, protocol: str, why: str, sent: bool) -> BzzzError:
        kind = UnknownOutcome if sent else Unavailable
        return kind(f"the request {protocol} to peer {peer_id} broke off: {why}", peer_id=str(peer_id))

    # Serving.

    async def _serve(self, stream: INetStream) -> None:
        """Answer questions until the asker ends the stream, is silent for long, or one fails."""
        peer_id, protocol = stream.muxed_conn.peer_id, str(stream.get_protocol())
        try:
            while True:
                with trio.fail_after(_SILENCE_S):
                    data = await read_frame(stream, self._limit)
                with trio.fail_after(_SERVE_S):
                    await stream.write(frame(_OK + await self._serve_one(protocol, peer_id, data)))
                self._tally.requests_served += 1
        except StreamEOF:
            await stream.close()
        except MalformedFrame:  # the asker went away inside a frame
            await stream.reset()
        except BzzzError as error:
            await stream.write(frame(error_bytes(error)))
            await stream.close()
        except trio.TooSlowError:
            await stream.reset()

    async def _serve_one(self, protocol: str, peer_id: ID, data: bytes) -> bytes:
        if self._serving.total() >= _SERVED_AT_ONCE or self._serving[peer_id] >= _SERVED_PER_PEER:
            self._tally.requests_refused += 1
            raise Overloaded("too many requests are being served; try again shortly")
        self._serving[peer_id] += 1
        try:
            answer = await self._answer(protocol, str(peer_id), data)
        except BzzzError:
            raise
        except Exception as error:  # a handler's fault is told to the asker without its insides
            raise BzzzError(f"the peer failed to answer {protocol} ({type(error).__name__})") from error
        finally:
            self._serving[peer_id] -= 1
            if not self._serving[peer_id]:
                del self._serving[peer_id]
        if len(answer) > self._limit:
            raise BzzzError(f"the answer to {protocol} has {len(answer)} bytes, over the limit of {self._limit}")
        return answer
