"""Prompts as the portal holds them: what the ledger tells everybody, the document that was proven, and answers.

Strings inside are clean; times are Unix seconds.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

WAITING = frozenset({"open", "seen"})
"""States in which a prompt takes an answer."""
ENDED = frozenset({"executed", "failed", "expired", "canceled", "superseded"})


class Reply(Struct, frozen=True):
    by: str
    at: float = 0
    choice: str = ""


class Prompt(Struct, frozen=True):
    """What every member may see of a prompt; ``title`` is empty when the person may not read it."""

    id: str
    task: str = ""
    by: str = ""
    people: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    quorum: int = 1
    kind: str = "approve"
    risk: str = "medium"
    created: float = 0
    expires: float = 0
    updated: float = 0
    default: str = "deny"
    state: str = "open"
    step: int = 0
    seen_by: tuple[str, ...] = ()
    answers: tuple[Reply, ...] = ()
    verdict: str = ""
    claimed_by: str = ""
    digest: str = ""
    superseded_by: str = ""
    settled_by: str = ""
    reason: str = ""
    title: str = ""
    for_me: bool = False

    def answered_by(self, id: str) -> bool:
        return any(reply.by == id for reply in self.answers)


class Choice(Struct, frozen=True):
    id: str
    text: str


class Field(Struct, frozen=True):
    name: str
    label: str
    kind: str = "text"
    required: bool = True
    choices: tuple[str, ...] = ()
    help: str = ""


class Asked(Struct, frozen=True):
    """The whole of a prompt as its document has it.

    ``fault`` says why it must not be answered: a digest, a signature or a grant that does not hold. ``args`` is
    JSON with every invisible character written out.
    """

    id: str
    digest: str = ""
    task: str = ""
    by: str = ""
    role: str = ""
    kind: str = "approve"
    risk: str = "medium"
    title: str = ""
    body: str = ""
    choices: tuple[Choice, ...] = ()
    form: tuple[Field, ...] = ()
    op: str = ""
    args: str = ""
    target: str = ""
    evidence: tuple[str, ...] = ()
    expires: float = 0
    default: str = "deny"
    readable: bool = True
    fault: str = ""


class Reception(Struct, frozen=True):
    """What became of the person's own answer: ``entry`` is its number in the ledger, ``why`` a refusal's reason.

    ``waiting`` can still be taken back; ``kept`` is on disk and on its way; ``held`` waits at the node for the
    coordinator; ``done`` has the ledger's receipt.
    """

    prompt: str
    command: str
    choice: str
    state: Literal["waiting", "kept", "held", "done", "refused"] = "waiting"
    at: float = 0
    due: float = 0
    entry: int = 0
    why: str = ""


class Sending(Struct, frozen=True):
    """An answer to be signed: a ``text``, or the ``fields`` of a form by name; ``settle`` closes an unknown one."""

    id: str
    prompt: str
    task: str
    digest: str
    choice: str
    text: str | None = None
    fields: dict[str, str] | None = None
    settle: bool = False
    project: str = "default"
    title: str = ""
    expires: float = 0
