"""What the ledger can be told: one signed, validated value for each command.

A command is a MessagePack map with its name under ``op``, in an envelope of kind ``command`` that
its author's own key signed; nodes forward the bytes unchanged and the ledger stores them so. All
bounds are checked here, once; inside the ledger nothing checks them again. A field that this
version doesn't know is refused: what somebody signed must not be half understood.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import Envelope, open_envelope, payload_of_stored, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, InvalidEnvelope, NotAllowed
from bzzzd.identity.grants import Grant
from bzzzd.slurp.question import ChoiceIds, Escalation, Kind, Risk, To, check_asked
from bzzzd.ucxl.address import parse

KIND: Final = "command"
COMMAND_LIMIT: Final = 16_384

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
NameOrAny = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{0,64}\Z")]
VersionId = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
ReasonCode = Annotated[str, Meta(pattern=r"^[a-z0-9_]{1,64}\Z")]
UnixTime = Annotated[float, Meta(ge=0, le=1e11)]
Priority = Annotated[int, Meta(ge=0, le=9)]
Half = Annotated[int, Meta(ge=0, le=2**62)]


class _Command(Struct, frozen=True, kw_only=True, tag_field="op", forbid_unknown_fields=True, omit_defaults=True):
    """``id`` makes the command idempotent and is its author's own; ``at`` is the author's Unix time in seconds."""

    id: Id
    task: Id
    at: UnixTime


class Submit(_Command, frozen=True, tag="submit"):
    """Ask for something. ``brief`` is the id of the encrypted version that says what.

    An empty ``role`` or ``capability`` matches every agent; priority 9 goes first. ``deadline_s`` is in
    seconds from the submit and stands still while a person is asked. ``approve``: a person must agree before it runs.
    """

    brief: VersionId
    role: NameOrAny = ""
    capability: NameOrAny = ""
    priority: Priority = 5
    project: Id = "default"
    retry_of: Id | None = None
    deadline_s: Annotated[float, Meta(gt=0, le=366 * 86400)] | None = None
    approve: bool = False


class Claim(_Command, frozen=True, tag="claim"):
    """Take the task; the agent is the author. ``lease_s`` asks for another period than the ledger's default."""

    lease_s: Annotated[float, Meta(ge=1, le=86400)] | None = None


class _Held(_Command, frozen=True):
    """A command of the lease's holder; ``token`` is the (term, counter) that its claim got."""

    token: tuple[Half, Half]


class Renew(_Held, frozen=True, tag="renew"):
    """Keep the lease for one more period. Those of one lease are dated in their order."""


class Complete(_Held, frozen=True, tag="complete"):
    """Done: ``result`` is the id of the decision's version, ``address`` the UCXL address that it is stored under."""

    result: VersionId
    address: Annotated[str, Meta(min_length=1, max_length=1024)]


class Fail(_Held, frozen=True, tag="fail"):
    """Not done: ``reason`` is a stable code that every member may see, ``detail`` an encrypted version."""

    reason: ReasonCode
    retryable: bool = False
    detail: VersionId | None = None


class Release(_Held, frozen=True, tag="release"):
    """Hand the task back; no strike."""


class Cancel(_Command, frozen=True, tag="cancel"):
    """End the task. ``reason`` is a stable code: every member can read it."""

    reason: ReasonCode = "canceled"


class Retry(_Command, frozen=True, tag="retry"):
    """Ask for the same again, as ``new_task``, after ``task`` has ended."""

    new_task: Id


class Ask(_Held, frozen=True, tag="ask"):
    """The owner asks people and waits. What every member may see of the question, and which version holds it.

    With the ``action`` of a prompt of this task that waits, or that was answered and not begun, it takes that one over.
    """

    prompt: Id
    version: VersionId
    digest: VersionId
    action: VersionId
    to: To
    kind: Kind
    expires: UnixTime
    quorum: Annotated[int, Meta(ge=1, le=16)] = 1
    risk: Risk = "medium"
    choices: ChoiceIds = ()
    default: Id = "deny"
    escalation: Escalation = ()
    supersedes: Id | None = None


class Seen(_Command, frozen=True, tag="seen"):
    """A person has the prompt on their screen."""

    prompt: Id


class Answer(_Command, frozen=True, tag="answer"):
    """A person's answer to the text that ``digest`` names: ``approve``, ``deny``, a choice's id, or ``value``.

    ``value`` is then the version that holds the text or the form.
    """

    prompt: Id
    digest: VersionId
    choice: Id
    value: VersionId | None = None


class Begin(_Held, frozen=True, tag="begin"):
    """The owner does the action now, as its digest says, when everything still holds."""

    prompt: Id
    action: VersionId


class Finish(_Held, frozen=True, tag="finish"):
    """What came of the action."""

    prompt: Id
    result: Literal["executed", "failed"]


class Withdraw(_Command, frozen=True, tag="withdraw"):
    """Nobody needs the answer any more: the owner's word (with its ``token``), or that of the task's author."""

    prompt: Id
    token: tuple[Half, Half] | None = None


class Settle(_Command, frozen=True, tag="settle"):
    """A person says what became of an action whose end nobody saw."""

    prompt: Id
    result: Literal["executed", "failed"]


PromptCommand = Ask | Seen | Answer | Begin | Finish | Withdraw | Settle
Command = Submit | Claim | Renew | Complete | Fail | Release | Cancel | Retry | PromptCommand

_DECODER: Final[msgspec.msgpack.Decoder[Command]] = msgspec.msgpack.Decoder(Command)


class Author(Struct, frozen=True):
    """Who signed a command, as its grant says; ``key`` is the grant's public key."""

    id: str
    kind: str
    role: str
    capabilities: tuple[str, ...]
    key: bytes


def author_of(envelope: Envelope, grant: Grant) -> Author:
    """The author of ``envelope`` by a grant that was admitted; the forwarder plays no part.

    Raises ``NotAllowed`` when the grant is for another key than the one that signed.
    """
    if envelope.author != grant.key:
        raise NotAllowed(f"the command was not signed by the key in the grant of {grant.kind} {grant.id}")
    return Author(grant.id, grant.kind, grant.role, grant.capabilities, grant.key)


def seal_command(key: SigningKey, mesh_id: str, command: Command) -> bytes:
    """Sign ``command``; the bytes to send, and to send again with the same id when no answer came."""
    return seal(key, KIND, mesh_id, msgspec.msgpack.encode(command))


def open_command(raw: bytes, mesh_id: str, limit: int = COMMAND_LIMIT) -> tuple[Envelope, Command]:
    """Verify, then decode and validate.

    Raises ``TooLarge``, ``InvalidEnvelope``, for a decision's address ``InvalidAddress`` and for a question that
    breaks its rules ``BadInput``.
    """
    envelope = open_envelope(raw, kind=KIND, mesh_id=mesh_id, limit=limit)
    try:
        command = _DECODER.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed command has a wrong shape: {error}") from error
    if isinstance(command, Complete):
        parse(command.address)
    elif isinstance(command, Ask):
        check_asked(command.kind, command.risk, command.default, command.choices, command.quorum, command.to)
    return envelope, command


def stored_command(raw: bytes) -> Command:
    """The command in bytes that the ledger accepted before; they are not verified again."""
    return _DECODER.decode(payload_of_stored(raw))


def new_id(prefix: str, at: float, entropy: Callable[[int], bytes] = os.urandom) -> str:
    """An id that sorts by time: ``prefix``, "-", and 17 characters of order-preserving base32.

    45 bits of milliseconds from ``at`` (Unix seconds) and 40 random bits. Tasks have the prefix
    ``t``, commands ``c``, prompts ``p``.
    """
    number = int(at * 1000) % 2**45 << 40 | int.from_bytes(entropy(5), "big")
    text = base64.b32hexencode((number << 3).to_bytes(11, "big"))[:17]
    return f"{prefix}-{text.decode('ascii').lower()}"


def new_task_id(at: float, entropy: Callable[[int], bytes] = os.urandom) -> str:
    return new_id("t", at, entropy)


def new_prompt_id(at: float, entropy: Callable[[int], bytes] = os.urandom) -> str:
    return new_id("p", at, entropy)


def new_command_id(at: float, entropy: Callable[[int], bytes] = os.urandom) -> str:
    return new_id("c", at, entropy)
