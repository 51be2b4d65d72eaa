"""Questions of an agent with a real key and a real grant, for the tests of prompts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.slurp.brief import Writer, write_version
from bzzzd.slurp.prompt import Prompt, asked
from bzzzd.slurp.question import PROMPT_TYPE, Action, Question, To, action_digest, digest_of, write_question

AUTHORITY = SigningKey.from_seed(b"\x01" * 32)
AGENT = SigningKey.from_seed(b"\x02" * 32)
MESH = mesh_id_of(AUTHORITY.public)
TRUST = Trust(MESH, AUTHORITY.public)
YEAR = 365 * 86400.0


def granted(
    kind: str, id: str, key: bytes, role: str, *, by: SigningKey = AUTHORITY, mesh: str = MESH, now: float | None = None
) -> bytes:
    at = (time.time() if now is None else now) - 60
    return make_grant(by, mesh, kind=kind, id=id, key=key, role=role, valid_s=YEAR, now=at)


class Asking:
    """One question and everything that the daemon tells of it; ``fields`` are those of ``Question``."""

    def __init__(self, id: str = "p-0001", *, now: float | None = None, key: SigningKey = AGENT, **fields: Any) -> None:
        self.now = time.time() if now is None else now
        wanted: dict[str, Any] = {
            "id": id, "mesh": MESH, "task": "t-0001", "by": "worker-1", "to": To(people=("lena",)), "kind": "approve",
            "title": "May I delete the old backups?", "body": "They are 40 GB.\nNobody has read them since May.",
            "action": Action("delete", {"paths": ["/srv/backup/2025-01"], "force": True}, "host-3:/srv/backup"),
            "expires": self.now + 600, "nonce": b"n" * 16, **fields,
        }  # fmt: skip
        self.question = Question(**wanted)
        self.document = write_question(self.question)
        writer = Writer(key, MESH, self.question.by, "worker", 1)
        version = write_version(
            writer, address=f"ucxl://worker-1:worker@default:{self.question.task}/*^/prompts/{id}",
            content=self.document, content_type=PROMPT_TYPE, readers=["operator", "worker"], at=self.now,
        )  # fmt: skip
        self.header = version.header
        self.chain = [granted("agent", self.question.by, AGENT.public, "worker", now=self.now)]
        one = self.question
        self.prompt = asked(
            Prompt(
                id=one.id, task=one.task, by=one.by, by_key=key.public, version=version.id,
                digest=digest_of(self.document), action=action_digest(one.action, one.task), to=one.to,
                quorum=one.quorum, kind=one.kind, risk=one.risk, choices=one.choice_ids, created=self.now,
                expires=one.expires, default=one.default, escalation=one.escalation, supersedes=one.supersedes,
                state="open", updated=self.now,
            ),
            (1, 1),
        )  # fmt: skip

    def row(self, **more: Any) -> dict[str, Any]:
        """The prompt as ``prompt.list`` has it."""
        return {**self.prompt.to_map(), "title": self.question.title, "for_me": True, **more}

    def shown(self, **more: Any) -> dict[str, Any]:
        """The answer of ``prompt.show``."""
        return {
            "prompt": self.row(), "document": self.document, "header": self.header, "chain": self.chain, **more,
        }  # fmt: skip


def _changed_prompt(**fields: Any) -> Callable[[Asking], dict[str, Any]]:
    return lambda asking: asking.shown(prompt=asking.row(**fields))


OTHER = SigningKey.from_seed(b"\x07" * 32)

FORGERIES: dict[str, tuple[Callable[[Asking], dict[str, Any]], str, str]] = {
    "another text": (
        lambda a: a.shown(document=Asking(title="Something else").document), "PROMPT_MISMATCH", "not the text",
    ),
    "another digest": (_changed_prompt(digest="ab" * 32), "PROMPT_MISMATCH", "not the text"),
    "another version": (_changed_prompt(version="ab" * 32), "INVALID_ENVELOPE", "header belongs to another"),
    "another task": (_changed_prompt(task="t-0002"), "INVALID_ENVELOPE", "do not agree about task"),
    "another asker": (_changed_prompt(**{"from": "worker-9"}), "INVALID_ENVELOPE", "asker in the ledger"),
    "a milder risk": (_changed_prompt(risk="low"), "INVALID_ENVELOPE", "agree about risk"),
    "another action": (_changed_prompt(action="cd" * 32), "INVALID_ENVELOPE", "agree about action"),
    "no chain": (lambda a: a.shown(chain=[]), "GRANT_REFUSED", "no grant"),
    "another authority": (
        lambda a: a.shown(chain=[granted("agent", "worker-1", AGENT.public, "worker", by=OTHER)]),
        "GRANT_REFUSED", "authority",
    ),
    "a key without a grant": (lambda a: Asking(key=OTHER).shown(), "GRANT_REFUSED", "not signed by the key"),
    "a person who asks": (
        lambda a: a.shown(chain=[granted("person", "worker-1", AGENT.public, "worker")]),
        "GRANT_REFUSED", "only agents ask",
    ),
    "no header": (lambda a: a.shown(header=b""), "INVALID_ENVELOPE", "not a signed version"),
    "no proof at all": (lambda a: a.shown(header=None, chain=None), "INVALID_ENVELOPE", "no proof"),
}  # fmt: skip
"""What ``prompt.show`` might answer instead of an honest question; the code and words of the refusal."""
