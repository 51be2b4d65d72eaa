"""A question to people as an agent writes it: immutable, encoded once, named by the digest of its bytes.

The document is the plaintext of an encrypted version that the asking agent signs; the ledger keeps its
digest and what every member may see (``prompt.py``). Whoever answers signs the digest, so an answer is
to this text, these choices and this action, and to no other. A random nonce in it keeps the digest from
being guessed from likely texts.
"""

from __future__ import annotations

import hashlib
import json
from math import isfinite
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bzzzd.errors import UNREADABLE, BadInput
from bzzzd.identity.grants import Name
from bzzzd.slurp.refusals import OtherPrompt, ValueChanged

PROMPT_TYPE: Final = "application/x-bzzz-prompt"
VALUE_TYPE: Final = "application/x-bzzz-answer"
QUESTION_LIMIT: Final = 262_144
VALUE_LIMIT: Final = 262_144
APPROVE: Final = "approve"
DENY: Final = "deny"
VALUE: Final = "value"
_DOMAIN: Final = b"bzzz/prompt/1\0"
_ACTION_DOMAIN: Final = b"bzzz/prompt-action/1\0"
_NONCE_BYTES: Final = 16

Kind = Literal["approve", "choose", "text", "form"]
Risk = Literal["low", "medium", "high"]
FieldKind = Literal["text", "lines", "choice", "number", "date", "address", "person"]
Hex = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
UnixTime = Annotated[float, Meta(ge=0, le=1e11)]
Short = Annotated[str, Meta(min_length=1, max_length=200)]
Names = Annotated[tuple[Name, ...], Meta(max_length=32)]
ChoiceIds = Annotated[tuple[Name, ...], Meta(max_length=32)]


class To(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Who is asked: people by id, and everybody with one of these roles."""

    people: Names = ()
    roles: Names = ()

    def __bool__(self) -> bool:
        return bool(self.people or self.roles)

    def has(self, id: str, role: str) -> bool:
        return id in self.people or role in self.roles

    def also(self, other: To) -> To:
        """Both together, each name once."""
        return To(
            tuple(dict.fromkeys((*self.people, *other.people))), tuple(dict.fromkeys((*self.roles, *other.roles)))
        )


class Later(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A step of escalation: after ``after_s`` seconds without an answer, these are asked as well."""

    after_s: Annotated[float, Meta(ge=0.1, le=31 * 86400)]
    to: To


Escalation = Annotated[tuple[Later, ...], Meta(max_length=8)]


class Choice(Struct, frozen=True, forbid_unknown_fields=True):
    id: Name
    text: Short


class Field(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One field of a form; ``choices`` are for ``choice``."""

    name: Name
    label: Short
    kind: FieldKind = "text"
    required: bool = True
    choices: Annotated[tuple[Short, ...], Meta(max_length=64)] = ()
    help: Annotated[str, Meta(max_length=500)] = ""


class Action(Struct, frozen=True, forbid_unknown_fields=True):
    """What is done once the answer is there: ``op`` names the handler's act, ``target`` what it is done to."""

    op: Name
    args: dict[str, Any] = {}
    target: Annotated[str, Meta(max_length=1024)] = ""


class Question(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of a prompt. ``by`` is the asking agent; times are Unix seconds.

    ``default`` is what counts when nobody answers: ``deny``, or for a ``choose`` of lower risk one of its choices.
    """

    id: Name
    mesh: Annotated[str, Meta(max_length=128)]
    task: Name
    by: Name
    to: To
    kind: Kind
    title: Annotated[str, Meta(min_length=1, max_length=500)]
    action: Action
    expires: UnixTime
    nonce: Annotated[bytes, Meta(min_length=_NONCE_BYTES, max_length=64)]
    body: Annotated[str, Meta(max_length=200_000)] = ""
    quorum: Annotated[int, Meta(ge=1, le=16)] = 1
    choices: Annotated[tuple[Choice, ...], Meta(max_length=32)] = ()
    form: Annotated[tuple[Field, ...], Meta(max_length=32)] = ()
    risk: Risk = "medium"
    evidence: Annotated[tuple[Hex, ...], Meta(max_length=32)] = ()
    default: Name = DENY
    escalation: Escalation = ()
    supersedes: Name | None = None

    @property
    def choice_ids(self) -> tuple[str, ...]:
        return tuple(choice.id for choice in self.choices)


_DECODER: Final = msgspec.msgpack.Decoder(Question)
_SORTED: Final = msgspec.msgpack.Encoder(order="deterministic")


def write_question(question: Question) -> bytes:
    """Check a question and encode it, once: these bytes are what is signed, stored and carried."""
    raw = msgspec.msgpack.encode(question)
    open_question(raw)
    return raw


def open_question(raw: bytes) -> Question:
    """Decode a document that was decrypted; raises ``BadInput``."""
    if len(raw) > QUESTION_LIMIT:
        raise BadInput(f"a prompt of {len(raw)} bytes is over the limit of {QUESTION_LIMIT}")
    try:
        question = _DECODER.decode(raw)
    except UNREADABLE as error:
        raise BadInput(f"this is not a prompt: {error}") from error
    check_asked(question.kind, question.risk, question.default, question.choice_ids, question.quorum, question.to)
    if (question.kind == "form") != bool(question.form):
        raise BadInput("a prompt has a form when it is of the kind form, and only then")
    return question


def check_asked(kind: Kind, risk: Risk, default: str, choices: tuple[str, ...], quorum: int, to: To) -> None:
    """The rules over several fields, for the document and for what the ledger is told of it; raises ``BadInput``."""
    if not to:
        raise BadInput("a prompt asks somebody: name people or roles")
    if (kind == "choose") != bool(choices):
        raise BadInput("a prompt has choices when it is of the kind choose, and only then")
    if len(set(choices)) != len(choices) or {APPROVE, DENY, VALUE} & set(choices):
        raise BadInput("choices have ids of their own, none of them approve, deny or value")
    if default != DENY and (risk == "high" or default not in choices):
        raise BadInput("silence never approves: the default is deny, or one of the choices where the risk is not high")
    if quorum > 1 and kind in ("text", "form"):
        raise BadInput("a text or a form is answered by one person; a quorum is for approve and choose")


def digest_of(raw: bytes) -> str:
    """The name of a document's bytes, in hex."""
    return hashlib.sha256(_DOMAIN + raw).hexdigest()


def check_digest(raw: bytes, digest: str) -> Question:
    """The document, when it is the one that ``digest`` names; raises ``OtherPrompt``."""
    if digest_of(raw) != digest:
        raise OtherPrompt("this is not the text that the ledger was told of; do not answer it", digest=digest)
    return open_question(raw)


def canonical(value: object) -> bytes:
    """One encoding of a value, whatever the order in which its maps were made.

    Raises ``BadInput`` for a map, at any depth, whose keys are not text: its order would depend on who encodes it.
    """
    try:
        return _SORTED.encode(value)
    except TypeError as error:
        raise BadInput(f"an action's arguments are named by text, also inside of each other: {error}") from error


def action_digest(action: Action, task: str) -> str:
    """By it the next owner of a task finds the prompt of the one before, and the ledger checks what is begun.

    Raises ``BadInput`` as ``canonical`` does.
    """
    said = canonical((task, action.op, action.args, action.target))
    return hashlib.sha256(_ACTION_DOMAIN + said).hexdigest()


def prompt_address(agent: str, role: str, project: str, task: str, prompt: str) -> str:
    """Where the asking agent's document lies."""
    return f"ucxl://{agent}:{role}@{project}:{task}/*^/prompts/{prompt}"


def value_address(person: str, role: str, project: str, task: str, prompt: str) -> str:
    """Where the text or form that somebody answered with lies."""
    return f"ucxl://{person}:{role}@{project}:{task}/*^/answers/{prompt}"


# Answers.


def write_value(question: Question, value: str | dict[str, str]) -> bytes:
    """The content of a ``text`` or ``form`` answer, checked against the question; raises ``ValueChanged``."""
    raw = json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
    open_value(question, raw)
    return raw


def open_value(question: Question, raw: bytes) -> str | dict[str, str]:
    """The text, or the fields by name, of an answer that was decrypted; raises ``ValueChanged``."""
    if len(raw) > VALUE_LIMIT:
        raise ValueChanged(f"an answer of {len(raw)} bytes is over the limit of {VALUE_LIMIT}")
    try:
        if question.kind == "text":
            return msgspec.json.decode(raw, type=str)
        fields = msgspec.json.decode(raw, type=dict[str, str])
    except UNREADABLE as error:
        raise ValueChanged(f"this is not a value that the prompt asks for: {error}") from error
    known = {field.name: field for field in question.form}
    for name, value in fields.items():
        field = known.get(name)
        if field is None:
            raise ValueChanged(f"the form has no field {name}; its fields: {', '.join(known)}")
        _check_field(field, value)
    missing = [field.name for field in question.form if field.required and not fields.get(field.name, "").strip()]
    if missing:
        raise ValueChanged(f"the form needs {', '.join(missing)}")
    return fields


def _check_field(field: Field, value: str) -> None:
    if not value:
        return
    if field.kind == "choice" and value not in field.choices:
        raise ValueChanged(f"{field.name} is one of {', '.join(field.choices)}")
    if field.kind == "number" and not _is_number(value):
        raise ValueChanged(f"{field.name} is a number, not {value[:40]!r}")


def _is_number(value: str) -> bool:
    try:
        return isfinite(float(value))
    except ValueError:
        return False
