"""What nodes say to each other about threads.

topic     bzzz/hmmm/1    one message with its text, from the node where it was posted
protocol  /bzzz/hmmm/1   Ask: one word for all that I hold        Answer: the same, or a mark for each thread
                         Want: these threads, beyond what I have  Give: messages with their texts
"""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from bzzzd.errors import UNREADABLE, InvalidEnvelope
from bzzzd.hmmm.message import MESSAGE_LIMIT, ThreadId
from bzzzd.storage.threads import MARK_BYTES
from bzzzd.storage.versions.adopt import Carried

TOPIC: Final = "bzzz/hmmm/1"
PROTOCOL: Final = "/bzzz/hmmm/1"
MOST_HEADS: Final = 20_000
MOST_WANTED: Final = 64
MOST_ITEMS: Final = 512
PREFIX_BYTES: Final = 8
GIVE_BYTES: Final = 2_097_152
_MOST_KNOWN: Final = 2048

Mark = Annotated[bytes, Meta(min_length=MARK_BYTES, max_length=MARK_BYTES)]


class _Frame(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Item(_Frame, frozen=True):
    """A signed message, and the version that is its text; that brings its author's grants."""

    raw: Annotated[bytes, Meta(max_length=MESSAGE_LIMIT)]
    text: Carried

    @property
    def weight(self) -> int:
        """About how many bytes it takes on the wire."""
        return len(self.raw) + self.text.weight


class Ask(_Frame, frozen=True, tag="ask"):
    root: Mark


class Row(_Frame, frozen=True):
    """A thread: the mark of its messages, and the Unix time of the last."""

    thread: ThreadId
    mark: Mark
    last_at: float


class Answer(_Frame, frozen=True):
    """``rows`` are empty where the roots are equal."""

    root: Mark
    rows: Annotated[tuple[Row, ...], Meta(max_length=MOST_HEADS)] = ()


class Wanted(_Frame, frozen=True):
    """A thread, and the first eight bytes of each message's id in it that the asker has."""

    thread: ThreadId
    known: Annotated[bytes, Meta(max_length=_MOST_KNOWN * PREFIX_BYTES)]


class Want(_Frame, frozen=True, tag="want"):
    threads: Annotated[tuple[Wanted, ...], Meta(max_length=MOST_WANTED)]


class Give(_Frame, frozen=True):
    """Messages that the asker lacks, thread by thread and by time; ``whole``: all of them."""

    items: Annotated[tuple[Item, ...], Meta(max_length=MOST_ITEMS)]
    whole: bool


T = TypeVar("T", Item, Answer, Give)
encode: Final = msgspec.msgpack.Encoder().encode
_QUESTION: Final[msgspec.msgpack.Decoder[Ask | Want]] = msgspec.msgpack.Decoder(Ask | Want)


def open_question(raw: bytes) -> Ask | Want:
    try:
        return _QUESTION.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this is no question about threads: {error}") from error


def open_as(raw: bytes, kind: type[T]) -> T:
    """What a member sent, which must be of ``kind``."""
    try:
        return msgspec.msgpack.decode(raw, type=kind)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a member sent something about threads that is no {kind.__name__}: {error}") from error
