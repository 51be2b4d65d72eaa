"""A task's brief and decision: what they hold, where they live, and how a task is submitted.

A brief is a version like any other (``ucxl/version.py``): its author signs the header, its readers
are roles, and the ``submit`` command names it. So only ids, states, roles, capabilities, priorities
and times of a task are visible to every member; what it is about is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, BadInput
from bzzzd.slurp.commands import Submit, new_command_id, new_task_id, seal_command
from bzzzd.ucxl.version import make_header, seal_version, version_id

BRIEF_TYPE: Final = "application/x-bzzz-brief"
BRIEF_LIMIT: Final = 1_048_576


class Brief(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for. ``args`` are a handler's own (``argv`` of ``command``, say).

    ``asked_by`` is whom a node wrote it for, by that node's word; empty where the author asks for itself.
    """

    title: Annotated[str, Meta(min_length=1, max_length=500)]
    body: Annotated[str, Meta(max_length=BRIEF_LIMIT)] = ""
    args: dict[str, Any] = {}
    asked_by: Annotated[str, Meta(max_length=100)] = ""


class Written(NamedTuple):
    """A version ready to be sent: its id, signed header and plaintext."""

    id: str
    header: bytes
    content: bytes


class Writer(NamedTuple):
    """Who writes, with which key, and what the session's attach said about readers and epoch."""

    key: SigningKey
    mesh_id: str
    id: str
    role: str
    epoch: int


_DECODER: Final = msgspec.msgpack.Decoder(Brief)


def open_brief(plaintext: bytes) -> Brief:
    """Decode a brief that was decrypted; raises ``BadInput``."""
    if len(plaintext) > BRIEF_LIMIT:
        raise BadInput(f"a brief of {len(plaintext)} bytes is over the limit of {BRIEF_LIMIT}")
    try:
        return _DECODER.decode(plaintext)
    except UNREADABLE as error:
        raise BadInput(f"this is not a task's brief: {error}") from error


def brief_address(author: str, role: str, project: str, task: str) -> str:
    return f"ucxl://{author}:{role}@{project}:{task}/*^/brief"


def decision_address(agent: str, role: str, project: str, task: str) -> str:
    return f"ucxl://{agent}:{role}@{project}:{task}/*^/decision"


def write_version(
    writer: Writer,
    *,
    address: str,
    content: bytes,
    content_type: str,
    readers: Sequence[str],
    at: float,
    parents: Sequence[str] = (),
) -> Written:
    """Sign the header of ``content`` at ``address``."""
    header = make_header(
        address=address, author=writer.id, plaintext=content, readers=readers, epoch=writer.epoch, at=at,
        parents=parents, content_type=content_type,
    )  # fmt: skip
    raw = seal_version(writer.key, writer.mesh_id, header)
    return Written(version_id(raw), raw, content)


def submit_params(
    writer: Writer, brief: Brief, *, readers: Sequence[str], at: float, **wanted: Any
) -> tuple[str, dict[str, Any]]:
    """The new task's id and the parameters of ``task.submit``.

    ``wanted`` are fields of ``Submit`` (role, capability, priority, project, deadline_s, approve,
    retry_of); a value that breaks their rules raises ``BadInput``.
    """
    task = new_task_id(at)
    try:
        checked = msgspec.convert(msgspec.to_builtins(brief), Brief)
        wanted.setdefault("project", "default")
        version = write_version(
            writer, address=brief_address(writer.id, writer.role, wanted["project"], task),
            content=msgspec.msgpack.encode(checked), content_type=BRIEF_TYPE, readers=readers, at=at,
        )  # fmt: skip
        fields: Mapping[str, Any] = {
            "op": "submit", "id": new_command_id(at), "task": task, "at": at, "brief": version.id, **wanted,
        }  # fmt: skip
        command = msgspec.convert(fields, Submit)
    except msgspec.ValidationError as error:
        raise BadInput(f"this task cannot be submitted: {error}") from error
    return task, {
        "envelope": seal_command(writer.key, writer.mesh_id, command),
        "version": version.header,
        "content": version.content,
    }
