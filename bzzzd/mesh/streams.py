"""Request streams: one question, one answer, between two members.

    request   frame(data)
    answer    frame(0x00 ‖ data)   or   frame(0x01 ‖ msgpack {code, message, data})

Sizes, times and the number of requests at once (per peer and in all) are bounded on both sides. An
error of the handler travels with its code and is raised at the asker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgpack
import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID

from bzzzd.errors import BzzzError, MalformedFrame, NotFound, Overloaded, Unavailable, UnknownOutcome, from_map
from bzzzd.mesh.describe import describe
from bzzzd.mesh.frames import frame, last_words, read_frame
from bzzzd.mesh.host import MemberHost
from bzzzd.mesh.tally import Tally

_OK: Final = b"\0"
_ERROR: Final = b"\1"
_SERVED_AT_ONCE: Final = 128
_SERVED_PER_PEER: Final = 32
_READ_S: Final = 30.0
_SERVE_S: Final = 120.0

# What answers a request on the other side of the bridge: (protocol, peer id, data) -> answer.
Answer = Callable[[str, str, bytes], Awaitable[bytes]]


def _error_bytes(error: BzzzError) -> bytes:
    try:
        return _ERROR + msgpack.packb(error.to_map())
    except (TypeError, ValueError, OverflowError):  # details that MessagePack cannot carry stay here
        return _ERROR + msgpack.packb({"code": error.code, "message": error.message, "data": {}})


def _error_of(raw: bytes) -> BzzzError:
    try:
        found: Any = msgpack.unpackb(raw)
    except (ValueError, msgpack.exceptions.UnpackException):
        found = None
    if not isinstance(found, dict):
        return MalformedFrame("the peer answered with an error that is no map")
    return from_map(found)


class Requests:
    """Asks members, and serves what they ask."""

    def __init__(self, host: MemberHost, answer: Answer, *, limit: int, tally: Tally) -> None:
        self._host = host
        self._answer = answer
        self._limit = limit
        self._tally = tally
        self._serving: Counter[ID] = Counter()
        self._offered: set[str] = set()

    async def offer(self, protocols: frozenset[str]) -> None:
        """Serve exactly ``protocols`` from now on."""
        for gone in self._offered - protocols:
            self._host.remove_stream_handler(TProtocol(gone))
        for new in protocols - self._offered:
            self._host.set_stream_handler(TProtocol(new), self._serve)
        self._offered = set(protocols)

    async def request(self, peer_id: ID, protocol: str, data: bytes, timeout_s: float) -> bytes:
        """Ask, and give the answer.

        Raises what the handler raised; ``Unavailable`` when the question was not sent, ``NotFound`` when
        the peer does not speak ``protocol``, ``UnknownOutcome`` when it was sent and no answer came.
        """
        sent = False
        try:
            with trio.fail_after(timeout_s):
                stream = await self._open(peer_id, protocol)
                try:
                    await stream.write(frame(data))
                    sent = True
                    answer = await read_frame(stream, self._limit + len(_OK))
                except BaseException:
                    with last_words(1):
                        await stream.reset()
                    raise
                await stream.close()
        except trio.TooSlowError:
            raise self._broken(peer_id, protocol, f"no answer within {timeout_s:g} s", sent) from None
        except BzzzError:
            raise
        except Exception as error:  # libp2p's own errors: closed, reset
            raise self._broken(peer_id, protocol, describe(error), sent) from error
        if answer[:1] == _OK:
            return answer[1:]
        raise _error_of(answer[1:])

    async def _open(self, peer_id: ID, protocol: str) -> INetStream:
        if not self._host.is_member(peer_id):
            raise Unavailable(f"peer {peer_id} is not connected; bzzz peers shows who is", peer_id=str(peer_id))
        try:
            return await self._host.new_stream(peer_id, [TProtocol(protocol)])
        except StreamFailure as error:
            raise NotFound(f"peer {peer_id} does not speak {protocol}", peer_id=str(peer_id)) from error
        except SwarmException as error:
            raise Unavailable(f"peer {peer_id} cannot be reached: {error}", peer_id=str(peer_id)) from error

    @staticmethod
    def _broken(peer_id: ID, protocol: str, why: str, sent: bool) -> BzzzError:
        kind = UnknownOutcome if sent else Unavailable
        return kind(f"the request {protocol} to peer {peer_id} broke off: {why}", peer_id=str(peer_id))

    async def _serve(self, stream: INetStream) -> None:
        peer_id = stream.muxed_conn.peer_id
        protocol = str(stream.get_protocol())
        if self._serving.total() >= _SERVED_AT_ONCE or self._serving[peer_id] >= _SERVED_PER_PEER:
            self._tally.requests_refused += 1
            refusal = Overloaded("too many requests are being served; try again shortly")
            await self._reply(stream, _error_bytes(refusal))
            return
        self._serving[peer_id] += 1
        try:
            with trio.move_on_after(_SERVE_S):
                with trio.fail_after(_READ_S):
                    data = await read_frame(stream, self._limit)
                reply = await self._ask(protocol, str(peer_id), data)
                await self._reply(stream, reply)
                self._tally.requests_served += 1
        except BzzzError as error:
            await self._reply(stream, _error_bytes(error))
        except trio.TooSlowError:
            await stream.reset()
        finally:
            self._serving[peer_id] -= 1
            if not self._serving[peer_id]:
                del self._serving[peer_id]

    async def _ask(self, protocol: str, peer_id: str, data: bytes) -> bytes:
        try:
            answer = await self._answer(protocol, peer_id, data)
        except BzzzError:
            raise
        except Exception as error:  # a handler's fault is told to the asker without its insides
            raise BzzzError(f"the peer failed to answer {protocol} ({type(error).__name__})") from error
        if len(answer) > self._limit:
            raise BzzzError(f"the answer to {protocol} has {len(answer)} bytes, over the limit of {self._limit}")
        return _OK + answer

    @staticmethod
    async def _reply(stream: INetStream, reply: bytes) -> None:
        await stream.write(frame(reply))
        await stream.close()
