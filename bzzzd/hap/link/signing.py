"""What the person signs: the proof at attach, and the commands that submit, cancel and retry tasks."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bzzzd import __version__
from bzzzd.crypto.keyfile import is_locked, open_key, protect
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput, KeyLocked, NotAllowed
from bzzzd.hap.files.outbox import Letter
from bzzzd.hap.messages import Order, Post
from bzzzd.hap.values.asked import Sending
from bzzzd.hmmm.forms import Composed
from bzzzd.hmmm.message import (
    CONTENT_TYPE,
    SUMMARY_TYPE,
    Text,
    new_thread_id,
    post_params,
    summary_address,
    thread_address,
)
from bzzzd.identity.attach import attach_params
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import read_grants
from bzzzd.identity.pins import Pins, root_of
from bzzzd.slurp.brief import Brief, Writer, submit_params, write_version
from bzzzd.slurp.commands import Answer, Cancel, Command, Retry, Seen, Settle, new_command_id, new_task_id, seal_command
from bzzzd.slurp.question import VALUE_TYPE, value_address

_NOT_CODE = re.compile(r"[^a-z0-9]+")


class Person:
    """The person's key and name. Made at the first start: the key is read, or created, 0600 in 0700.

    A key under a passphrase is locked until ``unlock``. ``own``: it is this portal's, and no key of other programs.
    Raises ``KeyExposed``, ``BadInput``, ``DiskFull`` or ``StorageFailed`` with what mends it.
    """

    def __init__(self, key_file: Path, grants_dir: Path, id: str, role: str, pins: Pins, *, own: bool = True) -> None:
        self._path = key_file
        self._own = own
        self._found: SigningKey | None = None if is_locked(key_file) else open_key(key_file)
        self._grants_dir = grants_dir
        self._pins = pins
        self._id = id
        self._role = role

    @property
    def locked(self) -> str:
        """The path of the key while its passphrase is not known; empty when it can sign."""
        return str(self._path) if self._found is None else ""

    @property
    def _key(self) -> SigningKey:
        if self._found is None:
            raise KeyLocked(f"your key {self._path} is locked: `U` asks for its passphrase", path=str(self._path))
        return self._found

    def unlock(self, passphrase: str) -> None:
        """Open the key for as long as this process lives; raises ``KeyLocked``. Takes up to a second."""
        self._found = open_key(self._path, passphrase)

    def protect(self, passphrase: str) -> None:
        """Keep the key under another passphrase, or none; an SSH key elsewhere is for ``ssh-keygen`` to change."""
        if not self._own:
            raise NotAllowed(f"this key is yours for other things too: change it with ssh-keygen -p -f {self._path}")
        protect(self._path, self._key, passphrase)

    def prove(self, nonce: bytes, mesh_id: str) -> Mapping[str, Any]:
        """The parameters of ``session.attach``; raises ``GrantRefused`` for another mesh than the pinned one."""
        self._pins.check(mesh_id)
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

    # Who may be believed

    def pin(self, attached: Mapping[str, Any], mesh_id: str) -> None:
        """Pin the authority that the person's own grant leads to; raises ``GrantRefused`` when it is another one."""
        chain = [raw for raw in attached.get("chain") or () if isinstance(raw, bytes)]
        if chain:
            self._pins.pin(mesh_id, root_of(chain, mesh_id))

    def trust(self) -> Trust | None:
        """The root of trust that was pinned, if one was."""
        return self._pins.trust()

    # What is signed

    def look(self, mesh_id: str, prompt: str, task: str) -> Mapping[str, Any]:
        """The parameters of ``prompt.seen``."""
        now = time.time()
        return {
            "envelope": seal_command(self._key, mesh_id, Seen(id=new_command_id(now), task=task, at=now, prompt=prompt))
        }

    def letter(
        self, sending: Sending, attached: Mapping[str, Any] | None, prepared: Mapping[str, Any] | None
    ) -> Letter:
        """An answer, signed and ready for the outbox.

        ``attached`` is what the daemon last said of this session, ``prepared`` its ``context.prepare`` for a value.
        """
        trust = self._pins.trust()
        if trust is None:
            raise NotAllowed("this portal has not met the mesh's authority yet; answer when bzzzd has let you in")
        now = time.time()
        params: dict[str, Any] = {}
        command: Command
        try:
            if sending.settle:
                fields = {"op": "settle", "result": sending.choice}
                command = msgspec.convert({**fields, **_about(sending, now)}, Settle)
            else:
                value, params = self._value(sending, attached, prepared, trust.mesh_id, now)
                fields = {"op": "answer", "digest": sending.digest, "choice": sending.choice}
                command = msgspec.convert({**fields, **_about(sending, now), "value": value}, Answer)
        except msgspec.ValidationError as error:
            raise BadInput(f"this cannot be answered: {error}") from error
        return Letter(
            id=sending.id, mesh=trust.mesh_id, method="prompt.settle" if sending.settle else "prompt.answer",
            params={"envelope": seal_command(self._key, trust.mesh_id, command), **params}, prompt=sending.prompt,
            choice=sending.choice, at=now,
        )  # fmt: skip

    def _value(
        self,
        sending: Sending,
        attached: Mapping[str, Any] | None,
        prepared: Mapping[str, Any] | None,
        mesh_id: str,
        now: float,
    ) -> tuple[str | None, dict[str, Any]]:
        """The version that holds a text or the fields of a form, and its parameters."""
        given = sending.text if sending.text is not None else sending.fields
        if given is None:
            return None, {}
        if attached is None or prepared is None:
            raise NotAllowed("a text is encrypted for readers whom bzzzd names, and it is away; what you wrote is kept")
        place = place_to_answer(attached, sending)
        caller = attached["caller"]
        writer = Writer(self._key, mesh_id, str(caller["id"]), str(caller["role"]), int(prepared["epoch"]))
        content = json.dumps(given, ensure_ascii=False, sort_keys=True).encode()
        version = write_version(
            writer, address=place["address"], content=content, content_type=VALUE_TYPE,
            readers=[str(name) for name in prepared["readers"]], at=now,
        )  # fmt: skip
        return version.id, {"version": version.header, "content": version.content}

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

    def summary(
        self, attached: Mapping[str, Any], mesh_id: str, prepared: Mapping[str, Any], effect: Post
    ) -> tuple[str, Mapping[str, Any]]:
        """The text that closes a thread as a version of its own: its id, and the parameters of ``context.put``."""
        caller = attached["caller"]
        writer = Writer(self._key, mesh_id, str(caller["id"]), str(caller["role"]), int(prepared["epoch"]))
        version = write_version(
            writer, address=place_of_summary(attached, effect)["address"], content=effect.message.body.encode(),
            content_type=SUMMARY_TYPE, readers=[str(name) for name in prepared["readers"]], at=time.time(),
            parents=[str(head) for head in prepared.get("heads") or ()],
        )  # fmt: skip
        return version.id, {"version": version.header, "content": version.content}

    def post(
        self,
        attached: Mapping[str, Any],
        mesh_id: str,
        readers: Mapping[str, Any],
        effect: Post,
        refs: tuple[str, ...] = (),
    ) -> Mapping[str, Any]:
        """The parameters of ``hmmm.post``; a message without a thread begins one, named by its title.

        ``refs`` are what it refers to beside what its form says.
        """
        now, message = time.time(), effect.message
        caller = attached["caller"]
        writer = Writer(self._key, mesh_id, str(caller["id"]), str(caller["role"]), int(readers["epoch"]))
        first = not effect.thread
        text = f"{message.title}\n\n{message.body}".strip() if message.title and not first else message.body
        said = Text(
            text=text or message.title, subject=message.title[:200] if first else "", to=message.to,
            refs=(*message.references, *refs), reason=message.reason,
        )  # fmt: skip
        _, params = post_params(
            writer, said, thread=effect.thread or new_thread_id(now), kind=message.sends, at=now,
            readers=[str(name) for name in readers["readers"]], project=effect.project,
            reply_to=effect.reply_to or None, window_s=message.window_s,
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


def place_to_write(attached: Mapping[str, Any], effect: Post) -> Mapping[str, Any]:
    """The parameters of ``context.prepare`` for a message of a thread, or of a new one."""
    caller = attached["caller"]
    thread = effect.thread or "x-new"
    address = thread_address(str(caller["id"]), str(caller["role"]), effect.project, thread, "message")
    return {"address": address, "content_type": CONTENT_TYPE}


def place_of_summary(attached: Mapping[str, Any], effect: Post) -> Mapping[str, Any]:
    """The parameters of ``context.prepare`` for the summary that closes a thread."""
    caller = attached["caller"]
    address = summary_address(str(caller["id"]), str(caller["role"]), effect.project, effect.thread)
    return {"address": address, "content_type": SUMMARY_TYPE}


def _about(sending: Sending, now: float) -> dict[str, Any]:
    return {"id": sending.id, "task": sending.task, "at": now, "prompt": sending.prompt}


def place_to_answer(attached: Mapping[str, Any], sending: Sending) -> Mapping[str, Any]:
    """The parameters of ``context.prepare`` for the value of an answer."""
    caller = attached["caller"]
    address = value_address(str(caller["id"]), str(caller["role"]), sending.project, sending.task, sending.prompt)
    return {"address": address, "content_type": VALUE_TYPE}


def _code(reason: str) -> str:
    """A reason as the code that every member may see: ``no longer needed`` is ``no_longer_needed``."""
    return _NOT_CODE.sub("_", reason.lower()).strip("_")[:64] or "canceled"
