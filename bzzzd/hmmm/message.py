"""What is said on a thread: a signed message that every member sees, and its encrypted text that roles read.

    message  {thread, kind, at, version, reply_to, refs, window_s}      signed by its author, kind ``hmmm``
    text     a version at ucxl://AUTHOR:ROLE@PROJECT:THREAD/*^/thread/KEY, named by the message

A message's id is made from what its author signed, so nobody can give one id to two messages.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import Envelope, open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, BadInput, InvalidEnvelope, TooLarge
from bzzzd.slurp.brief import Writer, write_version
from bzzzd.slurp.commands import new_id
from bzzzd.ucxl.address import parse
from bzzzd.ucxl.version import VersionHeader

ENVELOPE: Final = "hmmm"
CONTENT_TYPE: Final = "application/x-bzzz-hmmm"
SUMMARY_TYPE: Final = "text/markdown"
MESSAGE_LIMIT: Final = 4096
TEXT_CHARS: Final = 32_768
# A text with everything around it, encoded: four bytes a character, and what it refers to.
BODY_LIMIT: Final = 196_608
FUTURE_S: Final = 30.0
_PATH: Final = "thread"
_TICK_S: Final = 0.001

Kind = Literal["proposal", "question", "answer", "agreement", "concern", "objection", "summary", "escalation"]
ThreadId = Annotated[str, Meta(pattern=r"^[tx]-[A-Za-z0-9_-]{1,62}\Z")]
MessageId = Annotated[str, Meta(pattern=r"^h-[0-9a-v]{26}\Z")]
VersionId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
# A person's or an agent's id, or role:NAME.
Addressee = Annotated[str, Meta(pattern=r"^(role:)?[A-Za-z0-9_-]{1,64}\Z")]
# An address, a version's id or a message's.
Reference = Annotated[str, Meta(min_length=1, max_length=1024)]
WINDOW_MOST_S: Final = 7 * 86_400.0
REFS_MOST: Final = 32


class Message(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What every member may see.

    ``at`` is the author's Unix time in seconds, ``version`` the id of the encrypted text, ``refs`` how many
    references that has. ``window_s``: for so many seconds from ``at`` a proposal may be objected to; 0 for no window.
    """

    thread: ThreadId
    kind: Kind
    at: Annotated[float, Meta(ge=0, le=1e11)]
    version: VersionId
    reply_to: MessageId | None = None
    refs: Annotated[int, Meta(ge=0, le=REFS_MOST)] = 0
    window_s: Annotated[float, Meta(ge=0, le=WINDOW_MOST_S)] = 0.0


class Text(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What the readers' roles may see. ``subject`` belongs to the first message of a thread.

    ``to`` are those who are mentioned, or whom an escalation goes to with its ``reason``.
    """

    text: Annotated[str, Meta(max_length=TEXT_CHARS)]
    subject: Annotated[str, Meta(max_length=200)] = ""
    refs: Annotated[tuple[Reference, ...], Meta(max_length=REFS_MOST)] = ()
    to: Annotated[tuple[Addressee, ...], Meta(max_length=32)] = ()
    reason: Annotated[str, Meta(max_length=500)] = ""


_MESSAGE: Final = msgspec.msgpack.Decoder(Message)
_TEXT: Final = msgspec.msgpack.Decoder(Text)
_WIRE: Final = msgspec.msgpack.Decoder(tuple[int, str, str, bytes, bytes, bytes])


def message_id(author: bytes, payload: bytes) -> str:
    """``h-`` and 26 characters of base32: 128 bits of the hash of what ``author`` (a public key) signed."""
    digest = hashlib.sha256(b"bzzz hmmm\0" + author + payload).digest()[:16]
    return f"h-{base64.b32hexencode(digest).decode('ascii').rstrip('=').lower()}"


def new_thread_id(at: float) -> str:
    """The id of a thread that belongs to no task."""
    return new_id("x", at)


def dated(now: float, last_at: float) -> float:
    """When to say something that comes after a message of ``last_at``, also by a clock that is a little behind."""
    return max(now, last_at + _TICK_S) if last_at - now < FUTURE_S / 2 else now


def seal_message(key: SigningKey, mesh_id: str, message: Message) -> bytes:
    return seal(key, ENVELOPE, mesh_id, msgspec.msgpack.encode(message))


def open_message(raw: bytes, mesh_id: str, *, now: float) -> tuple[Envelope, Message]:
    """Verify, then decode. A message of any age is right, one dated after ``now`` (30 s are forgiven) is not.

    Raises ``TooLarge`` or ``InvalidEnvelope``.
    """
    envelope = open_envelope(raw, kind=ENVELOPE, mesh_id=mesh_id, limit=MESSAGE_LIMIT)
    try:
        message = _MESSAGE.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed message of a thread has a wrong shape: {error}") from error
    if message.window_s and message.kind != "proposal":
        raise InvalidEnvelope(f"only a proposal has an objection window, and this is {message.kind}")
    if message.at > now + FUTURE_S:
        raise InvalidEnvelope(
            f"this message is dated {message.at - now:.0f} s in the future; set the clock of its author's machine",
            at=message.at,
        )
    return envelope, message


def read_message(raw: bytes) -> Message:
    """A message that was verified before it was stored; checks nothing again."""
    return _MESSAGE.decode(_WIRE.decode(raw)[4])


def open_text(plaintext: bytes) -> Text:
    """Decode a text that was decrypted; raises ``TooLarge`` or ``BadInput``."""
    if len(plaintext) > BODY_LIMIT:
        raise TooLarge(
            f"a message's text of {len(plaintext)} bytes is over the limit of {BODY_LIMIT}; "
            "store it as content (bzzz context put) and refer to it",
            size=len(plaintext),
            limit=BODY_LIMIT,
        )
    try:
        return _TEXT.decode(plaintext)
    except UNREADABLE as error:
        raise BadInput(f"this is not the text of a thread's message: {error}") from error


def check_text(message: Message, text: Text) -> None:
    """What a whole message must have; raises ``BadInput``."""
    if not text.text.strip() and message.kind != "agreement":
        raise BadInput(f"a message of kind {message.kind} needs a text")
    if message.kind == "escalation" and not (text.to and text.reason.strip()):
        raise BadInput("an escalation names whom it goes to (a person, or role:NAME) and the reason")
    if message.kind == "objection" and message.reply_to is None:
        raise BadInput("an objection replies to the proposal that it is about")
    if message.refs != len(text.refs):
        raise BadInput(f"the message says that it has {message.refs} references, and its text has {len(text.refs)}")


def check_named(message: Message, header: VersionHeader, id: str, author: str, role: str) -> None:
    """Whether a version is the text of a message by ``author``; raises ``InvalidEnvelope``."""
    address = parse(header.address)
    place = (address.agent, address.role, address.task, address.path.partition("/")[0])
    if id != message.version or header.author != author or place != (author, role, message.thread, _PATH):
        raise InvalidEnvelope(
            "the message names another text than the one that came, which belongs at "
            f"ucxl://{author}:{role}@PROJECT:{message.thread}/*^/{_PATH}/…"
        )
    if header.at != message.at:
        raise InvalidEnvelope("a message and its text are dated alike")
    if header.content_type != CONTENT_TYPE or header.size > BODY_LIMIT:
        raise InvalidEnvelope(f"the text of a message is {CONTENT_TYPE} of at most {BODY_LIMIT} bytes")


def thread_address(author: str, role: str, project: str, thread: str, name: str) -> str:
    """Where ``author`` writes about a thread; ``name`` is one segment."""
    return f"ucxl://{author}:{role}@{project}:{thread}/*^/{_PATH}/{name}"


def summary_address(author: str, role: str, project: str, thread: str) -> str:
    """Where the summary of a thread that ``author`` closed is kept as context."""
    return thread_address(author, role, project, thread, "summary")


def post_params(
    writer: Writer,
    text: Text,
    *,
    thread: str,
    kind: str,
    readers: Sequence[str],
    at: float,
    project: str = "default",
    reply_to: str | None = None,
    window_s: float = 0.0,
) -> tuple[str, dict[str, Any]]:
    """The new message's id and the parameters of ``hmmm.post``; raises ``BadInput`` for values that break a rule.

    ``readers`` are what ``context.prepare`` says for ``CONTENT_TYPE``, or fewer.
    """
    try:
        checked = msgspec.convert(msgspec.to_builtins(text), Text)
        version = write_version(
            writer, address=thread_address(writer.id, writer.role, project, thread, new_id("m", at)),
            content=msgspec.msgpack.encode(checked), content_type=CONTENT_TYPE, readers=readers, at=at,
        )  # fmt: skip
        fields = {
            "thread": thread, "kind": kind, "at": at, "version": version.id, "reply_to": reply_to,
            "refs": len(checked.refs), "window_s": window_s,
        }  # fmt: skip
        message = msgspec.convert(fields, Message)
    except msgspec.ValidationError as error:
        raise BadInput(f"this message cannot be posted: {error}") from error
    check_text(message, checked)
    raw = seal_message(writer.key, writer.mesh_id, message)
    payload = msgspec.msgpack.encode(message)
    return message_id(writer.key.public, payload), {
        "envelope": raw, "version": version.header, "content": version.content,
    }  # fmt: skip
