"""What nodes say to each other about the ledger: bounded questions and answers of two protocols.

    /bzzz/ledger/1   commands, looks at the ledger, its events; copies for the standby
    /bzzz/offers/1   agents on other nodes, and what is offered to them

Commands carry their author's own signature and grants: the node that forwards them adds nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from bzzzd.errors import UNREADABLE, BzzzError, InvalidEnvelope, UnknownOutcome
from bzzzd.identity.grants import CHAIN_LIMIT, GRANT_LIMIT, Name
from bzzzd.slurp.commands import COMMAND_LIMIT, Id
from bzzzd.slurp.ledger import EventPage, Outcome
from bzzzd.slurp.prompt import PromptState
from bzzzd.slurp.replica import Row
from bzzzd.slurp.task import State
from bzzzd.storage.versions.adopt import Carried

LEDGER_PROTOCOL: Final = "/bzzz/ledger/1"
OFFERS_PROTOCOL: Final = "/bzzz/offers/1"
MOST_COMMANDS: Final = 128
MOST_AGENTS: Final = 1024
MOST_ROWS: Final = 512
# Under the mesh's own limit for a request, with room for the frame.
BATCH_BYTES: Final = 4_194_304

Chain = Annotated[
    tuple[Annotated[bytes, Meta(max_length=GRANT_LIMIT)], ...], Meta(min_length=1, max_length=CHAIN_LIMIT)
]
Number = Annotated[int, Meta(ge=0, le=2**62)]
Word = Annotated[str, Meta(max_length=128)]
Limit = Annotated[int, Meta(ge=1, le=1000)]


class _Said(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    pass


class Do(_Said, frozen=True):
    """A signed command, its author's grants (leaf first), and the version that it names."""

    raw: Annotated[bytes, Meta(max_length=COMMAND_LIMIT)]
    chain: Chain
    version: Carried | None = None

    @property
    def weight(self) -> int:
        return len(self.raw) + sum(map(len, self.chain)) + (self.version.weight if self.version else 0) + 64


class Commands(_Said, frozen=True, tag="do"):
    items: Annotated[tuple[Do, ...], Meta(min_length=1, max_length=MOST_COMMANDS)]


class Show(_Said, frozen=True, tag="show"):
    id: Word


class List(_Said, frozen=True, tag="list"):
    state: State | None
    project: Word | None
    dead: bool
    limit: Limit
    after: Word | None


class Needs(_Said, frozen=True, tag="needs"):
    """Which needs have open tasks."""


class Open(_Said, frozen=True, tag="open"):
    role: Word
    capability: Word
    limit: Limit


class Trace(_Said, frozen=True, tag="trace"):
    id: Word
    limit: Limit
    after: Number


class Retries(_Said, frozen=True, tag="retries"):
    id: Word


class ShowPrompt(_Said, frozen=True, tag="prompt"):
    id: Word


class ListPrompts(_Said, frozen=True, tag="prompts"):
    live: bool
    state: PromptState | None
    task: Word | None
    limit: Limit
    after: Word | None


class Stand(_Said, frozen=True, tag="status"):
    """How the ledger stands."""


class Events(_Said, frozen=True, tag="events"):
    """Entries after ``since`` of ``incarnation``; with ``wait_s`` the answer waits until there is one."""

    incarnation: Word
    since: Number
    limit: Limit
    wait_s: Annotated[float, Meta(ge=0, le=60)] = 0.0


class Copy(_Said, frozen=True, tag="copy"):
    """Entries for the standby that follow its number ``after``, with the versions that they name.

    ``fresh`` begins a copy anew: what the standby has is put away first. ``incarnation`` is the ledger's.
    """

    incarnation: Word
    term: Number
    after: Number
    fresh: bool
    rows: Annotated[tuple[Row, ...], Meta(max_length=MOST_ROWS)]
    versions: Annotated[tuple[Carried, ...], Meta(max_length=MOST_ROWS)] = ()


Question = Commands | Show | List | Needs | Open | Trace | Retries | ShowPrompt | ListPrompts | Stand | Events | Copy


class Done(_Said, frozen=True):
    """What became of one command: its outcome, or the error. ``brief`` comes with a claim.

    With ``upto`` (the ledger's incarnation, a number) it counts once the asking node, which is the standby,
    holds the entries up to there.
    """

    outcome: Outcome | None
    error: dict[str, Any] | None = None
    brief: Carried | None = None
    upto: tuple[str, int] | None = None


class News(_Said, frozen=True):
    """Events of a ledger's ``incarnation``; ``upto`` is the number up to which they are told, renewals left out."""

    incarnation: str
    page: EventPage
    upto: int


class Copied(_Said, frozen=True):
    """Up to which entry of which ledger the standby holds everything, durably."""

    incarnation: str
    number: int


class Agent(_Said, frozen=True):
    """An agent that listens for offers on the telling node."""

    id: Name
    role: Name
    capabilities: Annotated[tuple[Name, ...], Meta(max_length=256)]
    slots: Annotated[int, Meta(ge=0, le=4096)]


class Crew(_Said, frozen=True, tag="crew"):
    """Every agent that listens on this node, told again before ``CREW_S`` are over."""

    agents: Annotated[tuple[Agent, ...], Meta(max_length=MOST_AGENTS)]


class Declined(_Said, frozen=True, tag="declined"):
    task: Id
    agent: Name


class Offered(_Said, frozen=True):
    task: Id
    agent: Name
    expires_s: Annotated[float, Meta(ge=0, le=3600)]


class Offers(_Said, frozen=True, tag="offers"):
    items: Annotated[tuple[Offered, ...], Meta(max_length=MOST_ROWS)]


OfferWord = Crew | Declined | Offers

Answered = Annotated[tuple[Done, ...], Meta(max_length=MOST_COMMANDS)]
Names = Annotated[tuple[Name, ...], Meta(max_length=MOST_AGENTS)]

T = TypeVar("T")
_ENCODER: Final = msgspec.msgpack.Encoder()
_QUESTION: Final[msgspec.msgpack.Decoder[Question]] = msgspec.msgpack.Decoder(Question)
_OFFER_WORD: Final[msgspec.msgpack.Decoder[OfferWord]] = msgspec.msgpack.Decoder(OfferWord)
Role = Literal["coordinator", "standby", "follower"]


def encode(value: object) -> bytes:
    return _ENCODER.encode(value)


def question(raw: bytes) -> Question:
    """Raises ``InvalidEnvelope``."""
    try:
        return _QUESTION.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this is no question to a ledger: {error}") from error


def offer_word(raw: bytes) -> OfferWord:
    """Raises ``InvalidEnvelope``."""
    try:
        return _OFFER_WORD.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"this says nothing about offers: {error}") from error


def answer(raw: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    """Decode an answer; one that cannot be read leaves open what happened (``UnknownOutcome``)."""
    try:
        return decoder.decode(raw)
    except UNREADABLE as error:
        raise UnknownOutcome(f"the coordinator's answer cannot be read: {error}") from error


def error_map(error: BzzzError) -> dict[str, Any]:
    """An error as it travels; details that MessagePack cannot carry stay here."""
    try:
        msgspec.msgpack.encode(error.to_map())
    except (TypeError, ValueError, OverflowError):
        return {"code": error.code, "message": error.message, "data": {}}
    return error.to_map()
