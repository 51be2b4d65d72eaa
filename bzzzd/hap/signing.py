"""What the person signs: the proof at attach, and the commands that submit, cancel and retry tasks."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bzzzd import __version__
from bzzzd.crypto.keys import SigningKey, load_or_create_key
from bzzzd.errors import BadInput
from bzzzd.hap.messages import Order, Post
from bzzzd.hmmm.forms import Composed
from bzzzd.hmmm.message import CONTENT_TYPE, Text, new_thread_id, post_params, thread_address
from bzzzd.identity.attach import attach_params
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.node import read_grants
from bzzzd.slurp.brief import Brief, Writer, submit_params
from bzzzd.slurp.commands import Cancel, Command, Retry, new_task_id, seal_command

PROJECT = "default"
_NOT_CODE = re.compile(r"[^a-z0-9]+")


class Person:
    """The person's key and name. Made at the first start: the key is read, or created, 0600 in 0700.

    Raises ``KeyExposed``, ``BadInput``, ``DiskFull`` or ``StorageFailed`` with what mends it.
    """

    def __init__(self, key_file: Path, grants_dir: Path, id: str, role: str) -> None:
        self._key: SigningKey = load_or_create_key(key_file)
        self._grants_dir = grants_dir
        self._id = id
        self._role = role

    def prove(self, nonce: bytes, mesh_id: str) -> Mapping[str, Any]:
        """The parameters of ``session.attach``."""
        return attach_params(
            self._key, nonce, mesh_id, kind="person", id=self._id, role=self._role, chain=self._chain(mesh_id),
            version=__version__,
        )  # fmt: skip

    def _chain(self, mesh_id: str) -> tuple[bytes, ...]:
        """The grant of this mesh that lies in the grants folder, if one does."""
        for path, file in read_grants(self._grants_dir):
            if path.stem == "person" and mesh_id_of(file.authority) == mesh_id:
                return file.chain
        return ()

    def submit(self, attached: Mapping[str, Any], mesh_id: str, id: str, task: Composed) -> Mapping[str, Any]:
        """The parameters of ``task.submit``; ``id`` is the command's, so that it can be sent again."""
        caller, readers = attached["caller"], attached["readers"]
        writer = Writer(self._key, mesh_id, str(caller["id"]), str(caller["role"]), int(attached["epoch"]))
        brief = Brief(title=task.title, body=task.body)
        _, params = submit_params(
            writer, brief, readers=[str(name) for name in readers["brief"]], at=time.time(), id=id,
            role=task.role, capability=task.capability,
        )  # fmt: skip
        return params

    def post(
        self, attached: Mapping[str, Any], mesh_id: str, readers: Mapping[str, Any], effect: Post
    ) -> Mapping[str, Any]:
        """The parameters of ``hmmm.post``; a message without a thread begins one, named by its title."""
        now, message = time.time(), effect.message
        caller = attached["caller"]
        writer = Writer(self._key, mesh_id, str(caller["id"]), str(caller["role"]), int(readers["epoch"]))
        first = not effect.thread
        text = f"{message.title}\n\n{message.body}".strip() if message.title and not first else message.body
        said = Text(
            text=text or message.title, subject=message.title[:200] if first else "", to=message.to,
            refs=message.references, reason=message.reason,
        )  # fmt: skip
        _, params = post_params(
            writer, said, thread=effect.thread or new_thread_id(now), kind=message.sends, at=now,
            readers=[str(name) for name in readers["readers"]], project=PROJECT, reply_to=effect.reply_to or None,
            window_s=message.window_s,
        )  # fmt: skip
        return params

    def order(self, mesh_id: str, order: Order) -> Mapping[str, Any]:
        """The parameters of ``task.cancel`` or ``task.retry``."""
        now = time.time()
        command: Command
        try:
            if order.kind == "cancel":
                command = msgspec.convert(
                    {"op": "cancel", "id": order.id, "task": order.task, "at": now, "reason": _code(order.reason)},
                    Cancel,
                )
            else:
                command = msgspec.convert(
                    {"op": "retry", "id": order.id, "task": order.task, "at": now, "new_task": new_task_id(now)}, Retry
                )
        except msgspec.ValidationError as error:
            raise BadInput(f"this cannot be asked of the ledger: {error}") from error
        return {"envelope": seal_command(self._key, mesh_id, command)}


def place_to_write(attached: Mapping[str, Any], thread: str) -> Mapping[str, Any]:
    """The parameters of ``context.prepare`` for a message of ``thread``, or of a new one."""
    caller = attached["caller"]
    address = thread_address(str(caller["id"]), str(caller["role"]), PROJECT, thread or "x-new", "message")
    return {"address": address, "content_type": CONTENT_TYPE}


def _code(reason: str) -> str:
    """A reason as the code that every member may see: ``no longer needed`` is ``no_longer_needed``."""
    return _NOT_CODE.sub("_", reason.lower()).strip("_")[:64] or "canceled"
