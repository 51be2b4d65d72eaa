"""Whether a prompt is what it says: its text, its signature, and the grant of whoever asks.

bzzzd gives the document, the signed header of its version, and the asker's grant chain (``prompt.show``); everything
is checked here again, against the authority key that the person pinned themselves. Portal and command line both ask
here before they show a text or sign an answer to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bzzzd.errors import GrantRefused, InvalidEnvelope
from bzzzd.identity.grants import Grant, Trust
from bzzzd.slurp.question import Question, action_digest, check_digest
from bzzzd.ucxl.version import open_version, version_id


def proven(shown: Mapping[str, Any], trust: Trust | None, now: float) -> tuple[Question, Grant]:
    """The question in an answer of ``prompt.show``, and the grant with which the agent asked; ``now`` is Unix time.

    Raises ``InvalidEnvelope``, ``GrantRefused`` or ``OtherPrompt`` with what does not hold: then it must not be
    answered.
    """
    told, document, header, chain = shown.get("prompt"), shown.get("document"), shown.get("header"), shown.get("chain")
    if not (
        isinstance(told, Mapping)
        and isinstance(document, bytes)
        and isinstance(header, bytes)
        and isinstance(chain, list | tuple)
    ):
        raise InvalidEnvelope("bzzzd gave no proof with it")
    if trust is None:
        raise GrantRefused("no authority of the mesh is pinned yet that could speak for whoever asks")
    question = check_digest(document, str(told.get("digest")))
    grant = _asker(header, document, told.get("version"), chain, trust, now)
    _check_same(question, grant, told, trust.mesh_id)
    return question, grant


def _asker(header: bytes, document: bytes, version: object, chain: Any, trust: Trust, now: float) -> Grant:
    """Who signed the document, by a grant that leads to the pinned authority."""
    envelope, read = open_version(header, trust.mesh_id)
    if version_id(header) != version or not read.matches(document):
        raise InvalidEnvelope("its signed header belongs to another text")
    # An agent's grants are short: one that has ended since was good for what was asked before. Whether the agent may
    # still act, and what was revoked meanwhile, the ledger asks again when the action is begun.
    grant = trust.admit([raw for raw in chain if isinstance(raw, bytes)], now=min(read.at, now))
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
