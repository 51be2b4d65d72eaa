"""Frames as typed values, for the server: one decoder that checks the shape, one encoder.

``wire.Splitter`` has made sure that the bytes are one whole MessagePack value before they come here, so no header
can promise more elements than were sent.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Raw, Struct

from bzzzd.errors import BzzzError, MalformedFrame
from bzzzd.rpc.wire import MAX_ID, NOTIFICATION, REQUEST, RESPONSE

FrameId = Annotated[int, Meta(ge=0, le=MAX_ID)]


class Request(Struct, array_like=True, tag=REQUEST, frozen=True, gc=False, forbid_unknown_fields=True):
    id: FrameId
    method: str
    params: tuple[Raw, ...]


class Response(Struct, array_like=True, tag=RESPONSE, frozen=True, gc=False, forbid_unknown_fields=True):
    id: FrameId
    error: Raw
    result: Raw


class Notification(Struct, array_like=True, tag=NOTIFICATION, frozen=True, gc=False, forbid_unknown_fields=True):
    method: str
    params: tuple[Raw, ...]


Frame = Request | Response | Notification

_DECODER: Final = msgspec.msgpack.Decoder(Frame)
_ENCODER: Final = msgspec.msgpack.Encoder()

decode = _DECODER.decode
"""bytes of one whole value -> ``Frame``; raises one of ``errors.UNREADABLE`` (see ``fault``)."""

encode = _ENCODER.encode
"""A value that MessagePack can carry -> bytes; raises ``TypeError`` or ``ValueError``."""


def fault(error: Exception) -> MalformedFrame:
    """What ``decode`` raised, as the error that the other side gets."""
    reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
    return MalformedFrame(f"this is not a MessagePack-RPC frame ({reason}); the connection is closed")


def encode_error(id: int, error: BzzzError) -> bytes:
    """The response to request ``id`` that carries ``error``."""
    return encode((RESPONSE, id, carried(error), None))


def carried(error: BzzzError) -> dict[str, Any]:
    """``error.to_map()``, with details that MessagePack cannot carry turned to text."""
    found = error.to_map()
    try:
        encode(found)
    except (TypeError, ValueError):
        found["data"] = {str(key): str(value) for key, value in error.data.items()}
    return found
