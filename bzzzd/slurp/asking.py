"""What agents and people send about prompts: a question with its document, an answer with its value, as parameters.

The same parameters sent twice are the same command, which counts once; so whoever got no answer sends them again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import msgspec

from bzzzd.errors import BadInput
from bzzzd.slurp.brief import Writer, write_version
from bzzzd.slurp.commands import Answer, Ask, PromptCommand, Settle, new_command_id, seal_command
from bzzzd.slurp.question import (
    PROMPT_TYPE,
    VALUE_TYPE,
    Question,
    action_digest,
    digest_of,
    prompt_address,
    value_address,
    write_question,
)


def new_nonce() -> bytes:
    """What keeps a question's digest from being guessed."""
    return os.urandom(16)


def ask_params(
    writer: Writer, question: Question, *, token: tuple[int, int], project: str, readers: Sequence[str], at: float
) -> dict[str, Any]:
    """The parameters of ``prompt.ask`` for the holder of the lease with ``token``; raises ``BadInput``."""
    document = write_question(question)
    version = write_version(
        writer, address=prompt_address(writer.id, writer.role, project, question.task, question.id),
        content=document, content_type=PROMPT_TYPE, readers=readers, at=at,
    )  # fmt: skip
    command = Ask(
        id=new_command_id(at), task=question.task, at=at, token=token, prompt=question.id, version=version.id,
        digest=digest_of(document), action=action_digest(question.action, question.task), to=question.to,
        kind=question.kind, expires=question.expires, quorum=question.quorum, risk=question.risk,
        choices=question.choice_ids, default=question.default, escalation=question.escalation,
        supersedes=question.supersedes,
    )  # fmt: skip
    return {
        "envelope": seal_command(writer.key, writer.mesh_id, command), "version": version.header, "content": document,
    }  # fmt: skip


def answer_params(
    writer: Writer,
    *,
    prompt: str,
    task: str,
    digest: str,
    choice: str,
    at: float,
    value: bytes | None = None,
    project: str = "default",
    readers: Sequence[str] = (),
) -> dict[str, Any]:
    """The parameters of ``prompt.answer``; ``value`` (``question.write_value``) goes with the choice ``value``."""
    fields: dict[str, Any] = {"prompt": prompt, "task": task, "digest": digest, "choice": choice}
    if value is None:
        return {"envelope": _sealed(writer, Answer, at, **fields)}
    version = write_version(
        writer, address=value_address(writer.id, writer.role, project, task, prompt), content=value,
        content_type=VALUE_TYPE, readers=readers, at=at,
    )  # fmt: skip
    envelope = _sealed(writer, Answer, at, **fields, value=version.id)
    return {"envelope": envelope, "version": version.header, "content": value}


def settle_params(writer: Writer, *, prompt: str, task: str, result: str, at: float) -> dict[str, Any]:
    """The parameters of ``prompt.settle``: ``result`` is ``executed`` or ``failed``."""
    return {"envelope": _sealed(writer, Settle, at, prompt=prompt, task=task, result=result)}


def _sealed(writer: Writer, kind: type[PromptCommand], at: float, **fields: Any) -> bytes:
    try:
        command = msgspec.convert({"id": new_command_id(at), "at": at, "op": _OPS[kind], **fields}, kind)
    except msgspec.ValidationError as error:
        raise BadInput(f"this cannot be said of a prompt: {error}") from error
    return seal_command(writer.key, writer.mesh_id, command)


_OPS: dict[type[PromptCommand], str] = {Answer: "answer", Settle: "settle"}
