"""Whether a prompt is what it says: its text, its signature, and the grant of whoever asks.

The daemon gives the document, the signed header of its version, and the asker's grant chain; everything is
checked here again, against the authority key that this portal pinned itself. What is shown comes from the
proven document alone, with every invisible character of the action written out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from bzzzd.errors import BzzzError, GrantRefused, InvalidEnvelope
from bzzzd.hap.asked import Asked, Choice, Field
from bzzzd.hap.feeds.fields import mapping
from bzzzd.hap.feeds.prompts import prompt as read_prompt
from bzzzd.hap.text import clean, clean_block
from bzzzd.identity.grants import Grant, Trust
from bzzzd.slurp.question import Question, action_digest, check_digest
from bzzzd.ucxl.version import open_version, version_id

_SHOWN_ARGS: Final = 20_000


def exact(text: str) -> str:
    r"""The text with everything that a screen would hide or reorder written as ``\uXXXX``; line breaks stay."""
    return "".join(char if char.isprintable() or char == "\n" else _written_out(char) for char in text)


def _written_out(char: str) -> str:
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"


def shown_args(args: Mapping[str, Any]) -> str:
    """The arguments of an action as JSON; nothing of them is left out without saying so."""
    if not args:
        return ""
    text = exact(json.dumps(args, ensure_ascii=False, indent=2, default=_other))
    if len(text) <= _SHOWN_ARGS:
        return text
    return f"{text[:_SHOWN_ARGS]}\n… {len(text) - _SHOWN_ARGS} more characters are not shown: do not approve it here"


def _other(value: object) -> str:
    return f"hex:{value.hex()}" if isinstance(value, bytes) else repr(value)


def prove(value: object, trust: Trust | None, now: float) -> Asked:
    """The answer of ``prompt.show`` as what may be shown; ``fault`` says what does not hold. ``now`` is Unix time."""
    row = mapping(value)
    prompt = read_prompt(mapping(row.get("prompt")))
    known = Asked(id=prompt.id, digest=prompt.digest, task=prompt.task, by=prompt.by, kind=prompt.kind,
                  risk=prompt.risk, expires=prompt.expires, default=prompt.default)  # fmt: skip
    document, header, chain = row.get("document"), row.get("header"), row.get("chain")
    if document is None:
        return Asked(**{**_fields(known), "readable": False})
    try:
        if not (isinstance(document, bytes) and isinstance(header, bytes) and isinstance(chain, list | tuple)):
            raise InvalidEnvelope("bzzzd gave no proof with it")
        if trust is None:
            raise GrantRefused("this portal knows no authority of the mesh yet")
        question = check_digest(document, prompt.digest)
        grant = _asker(header, document, mapping(row.get("prompt")).get("version"), chain, trust, now)
        _check_same(question, grant, mapping(row.get("prompt")), trust.mesh_id)
    except BzzzError as error:
        return Asked(**{**_fields(known), "fault": clean(error.message, 500)})
    return _asked(question, prompt.digest, grant)


def _fields(asked: Asked) -> dict[str, Any]:
    return {name: getattr(asked, name) for name in asked.__struct_fields__}


def _asker(header: bytes, document: bytes, version: object, chain: Any, trust: Trust, now: float) -> Grant:
    """Who signed the document, by a grant that leads to the pinned authority."""
    envelope, read = open_version(header, trust.mesh_id)
    if version_id(header) != version or not read.matches(document):
        raise InvalidEnvelope("its signed header belongs to another text")
    grant = trust.admit([raw for raw in chain if isinstance(raw, bytes)], now=now)
    if envelope.author != grant.key or read.author != grant.id:
        raise GrantRefused(f"it was not signed by the key of {grant.kind} {grant.id}")
    if grant.kind != "agent":
        raise GrantRefused(f"{grant.kind} {grant.id} is no agent, and only agents ask")
    return grant


def _check_same(question: Question, grant: Grant, told: Mapping[str, Any], mesh: str) -> None:
    """The document must be about what the ledger says, asked by whom it names, in this mesh."""
    pairs = {
        "mesh": (question.mesh, mesh),
        "id": (question.id, told.get("id")),
        "task": (question.task, told.get("task")),
        "asker": (question.by, grant.id),
        "asker in the ledger": (question.by, told.get("from")),
        "kind": (question.kind, told.get("kind")),
        "risk": (question.risk, told.get("risk")),
        "action": (action_digest(question.action, question.task), told.get("action")),
        "choices": (list(question.choice_ids), list(told.get("choices") or ())),
    }
    wrong = [name for name, (one, other) in pairs.items() if one != other]
    if wrong:
        raise InvalidEnvelope(f"its text and the ledger do not agree about {', '.join(wrong)}")


def _asked(question: Question, digest: str, grant: Grant) -> Asked:
    return Asked(
        id=question.id,
        digest=digest,
        task=question.task,
        by=question.by,
        role=clean(grant.role, 64),
        kind=question.kind,
        risk=question.risk,
        title=clean(question.title, 500),
        body=clean_block(question.body),
        choices=tuple(Choice(choice.id, clean(choice.text, 200)) for choice in question.choices),
        form=tuple(
            Field(field.name, clean(field.label, 200), field.kind, field.required,
                  tuple(exact(choice) for choice in field.choices), clean(field.help, 500))
            for field in question.form
        ),
        op=question.action.op,
        args=shown_args(question.action.args),
        target=exact(question.action.target),
        evidence=question.evidence,
        expires=question.expires,
        default=question.default,
    )  # fmt: skip
