"""The person at the command line: their key, their session, and what they sign.

The key is made at first use. What a version is encrypted for comes from bzzzd, so no policy is known here.
A command whose answer did not come is sent again unchanged: its id makes that safe.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bzzzd import __version__
from bzzzd.cli.output import mapping, number
from bzzzd.config.load import FOLDER, kind_of, load
from bzzzd.config.settings import FILES, Settings, Surroundings
from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keyfile import is_locked, open_key
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import (
    BadInput,
    GrantRefused,
    NotAllowed,
    NotAttached,
    NotFound,
    NotReady,
    UnknownOutcome,
    Unreachable,
)
from bzzzd.hmmm.message import CONTENT_TYPE, Text, dated, post_params, thread_address
from bzzzd.identity.attach import attach_params
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.node import read_grants
from bzzzd.identity.pins import pins_in, root_of
from bzzzd.slurp.asking import answer_params, settle_params
from bzzzd.slurp.brief import Brief, Writer, submit_params, write_version
from bzzzd.slurp.commands import Cancel, Command, Retry, new_command_id, new_task_id, seal_command
from bzzzd.slurp.question import VALUE_TYPE, value_address
from bzzzd.ucxl.address import Address, parse
from bzzzd.ucxl.version import PlaintextDigest, seal_version

if TYPE_CHECKING:
    from bzzzd.cli.run import Run
    from bzzzd.rpc.follower import Event

AGAIN_S = 0.2


class Person:
    """An attached session. ``id`` and ``role`` are what the grant says, whatever was asked for."""

    def __init__(self, run: Run, settings: Settings) -> None:
        self._run = run
        self._settings = settings
        self.key: SigningKey = persons_key(settings.key_file)
        self.id = self.role = self.mesh_id = ""
        self._told: Mapping[str, Any] = {}
        self._attach()

    def read(self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> Any:
        """Ask for something that changes nothing."""
        return self._run.client.call(method, params, timeout=timeout, effects=False)

    def act(self, method: str, params: Mapping[str, Any] | None = None, *, timeout: float | None = None) -> Any:
        """Have something done that may be asked for twice with these very parameters.

        While no answer comes it is asked for again, on a new connection; ``UnknownOutcome`` when the time is over.
        """
        until = time.monotonic() + (timeout or self._run.timeout)
        lost: UnknownOutcome | None = None
        while True:
            try:
                if lost is not None:
                    self._run.close()
                    self._attach()
                return self._run.client.call(method, params, timeout=max(until - time.monotonic(), AGAIN_S))
            except UnknownOutcome as error:
                lost = error
            except (Unreachable, NotReady):
                if lost is None:
                    raise
            if time.monotonic() + AGAIN_S >= until:
                raise lost
            time.sleep(AGAIN_S)  # bzzzd is away or starting; its socket tells nobody when it opens

    def events(
        self, stream: str, *, filter: Mapping[str, Any] | None = None, until: float | None = None
    ) -> Iterator[Event]:
        """A stream, snapshot first, up to the time ``until`` of ``time.monotonic``."""
        return self._run.client.events(stream, filter=filter, until=until)

    def submit(self, brief: Brief, **wanted: Any) -> tuple[str, Any]:
        """Ask for a task; gives its id and the answer. The id is known before, so a lost answer loses nothing."""
        task, params = submit_params(
            self._writer(self._told), brief, readers=_names(mapping(self._told.get("readers")).get("brief")),
            at=time.time(), **wanted,
        )  # fmt: skip
        try:
            return task, self.act("task.submit", params)
        except UnknownOutcome as error:
            raise UnknownOutcome(
                f"no answer came to the submit of task {task}; see whether it arrived: bzzz task show {task}", task=task
            ) from error

    def cancel(self, task: str, reason: str) -> Any:
        now = time.time()
        return self._command("task.cancel", {"op": "cancel", "task": task, "reason": reason}, Cancel, now)

    def retry(self, task: str) -> tuple[str, Any]:
        """Ask for an ended task again; gives the new task's id and the answer."""
        now = time.time()
        new = new_task_id(now)
        return new, self._command("task.retry", {"op": "retry", "task": task, "new_task": new}, Retry, now)

    def put(self, address: Address, content: bytes, content_type: str) -> Any:
        """Store ``content`` as the version after those that are the latest now."""
        asked = {"address": address.base, "content_type": content_type}
        prepared = mapping(self.read("context.prepare", asked))
        heads = _names(prepared.get("heads"))
        version = write_version(
            self._writer(prepared), address=address.base, content=content, content_type=content_type,
            readers=_names(prepared.get("readers")), at=time.time(), parents=heads,
        )  # fmt: skip
        return self.act("context.put", {"version": version.header, "content": content})

    def say(
        self,
        text: Text,
        *,
        thread: str,
        kind: str,
        project: str,
        reply_to: str | None = None,
        window_s: float = 0.0,
        readers: Sequence[str] = (),
    ) -> Any:
        """Post on a thread; ``readers`` are fewer than policy gives, where some are named."""
        asked = {"address": thread_address(self.id, self.role, project, thread, "x"), "content_type": CONTENT_TYPE}
        prepared = mapping(self.read("context.prepare", asked))
        _, params = post_params(
            self._writer(prepared), text, thread=thread, kind=kind, project=project,
            at=dated(time.time(), self._last_at(thread)),
            readers=list(readers) or _names(prepared.get("readers")), reply_to=reply_to, window_s=window_s,
        )  # fmt: skip
        return self.act("hmmm.post", params)

    def _last_at(self, thread: str) -> float:
        """When somebody last spoke on a thread; 0 where nobody did yet."""
        try:
            found = mapping(self.read("hmmm.show", {"thread": thread, "limit": 1}))
        except NotFound:
            return 0.0
        return number(mapping(found.get("thread")).get("last_at"))

    def trust(self) -> Trust:
        """The authority that this person has pinned for this bzzzd, in the portal or here; now, the first time.

        Raises ``GrantRefused`` when bzzzd shows another one.
        """
        pins = pins_in(self._settings.state_dir, self._settings.socket)
        pins.check(self.mesh_id)
        chain = [raw for raw in self._told.get("chain") or () if isinstance(raw, bytes)]
        found = pins.pin(self.mesh_id, root_of(chain, self.mesh_id)) if chain else pins.trust()
        if found is None:
            raise GrantRefused("bzzzd shows no grant of yours, so nobody here knows the mesh's authority")
        return found

    def answer(self, prompt: Mapping[str, Any], choice: str, asked_at: str, value: bytes | None) -> Any:
        """Answer a prompt as ``prompt.show`` gave it; ``asked_at`` is the address of its document."""
        task, id, prepared = str(prompt["task"]), str(prompt["id"]), self._told
        project = parse(asked_at).project if asked_at else "default"
        readers: Sequence[str] = ()
        if value is not None:
            address = value_address(self.id, self.role, project, task, id)
            prepared = mapping(self.read("context.prepare", {"address": address, "content_type": VALUE_TYPE}))
            readers = _names(prepared.get("readers"))
        params = answer_params(
            self._writer(prepared), prompt=id, task=task, digest=str(prompt["digest"]), choice=choice, at=time.time(),
            value=value, project=project, readers=readers,
        )  # fmt: skip
        return self.act("prompt.answer", params)

    def settle(self, prompt: Mapping[str, Any], result: str) -> Any:
        """Say what became of an action whose outcome is unknown."""
        named = {"prompt": str(prompt["id"]), "task": str(prompt["task"])}
        return self.act(
            "prompt.settle", settle_params(self._writer(self._told), **named, result=result, at=time.time())
        )

    def new_epoch(self, **wanted: object) -> Any:
        """Have this node make new role keys, sign them, and put them in force; ``wanted`` as ``mesh.epoch_prepare``."""
        record = mapping(self.act("mesh.epoch_prepare", wanted)).get("record")
        if not isinstance(record, bytes):
            raise BadInput("bzzzd gave no record of an epoch; nothing was signed")
        return self.act("mesh.epoch_apply", {"envelope": seal(self.key, "epoch", self.mesh_id, record)})

    def sign_version(self, address: Address, digest: PlaintextDigest, content_type: str) -> bytes:
        """The signed header of content that went through ``digest``, as the version after those that are the latest."""
        prepared = mapping(self.read("context.prepare", {"address": address.base, "content_type": content_type}))
        writer = self._writer(prepared)
        header = digest.header(
            address=address.base, author=writer.id, readers=_names(prepared.get("readers")), epoch=writer.epoch,
            at=time.time(), parents=_names(prepared.get("heads")), content_type=content_type,
        )  # fmt: skip
        return seal_version(self.key, self.mesh_id, header)

    def tell(self, method: str, params: Mapping[str, Any], *, timeout: float) -> Any:
        """Have something done that must not be asked for twice."""
        return self._run.client.call(method, params, timeout=timeout)

    def publish(self, topic: str, body: bytes | str) -> Any:
        """Sign a message for a topic; it is sent once, because a message carries no id."""
        payload = msgspec.msgpack.encode({"topic": topic, "at": time.time(), "body": body})
        envelope = seal(self.key, "message", self.mesh_id, payload)
        return self._run.call("publish", {"topic": topic, "envelope": envelope}, effects=True)

    def _attach(self) -> None:
        """Prove who this is to the bzzzd that is connected now."""
        self._told = mapping(self._run.client.attach(self._proof))
        me, caller = self._settings.config.agent, mapping(self._told.get("caller"))
        self.id, self.role = str(caller.get("id") or me.id), str(caller.get("role") or me.role)

    def _proof(self, nonce: bytes, mesh_id: str) -> dict[str, Any]:
        self.mesh_id = mesh_id
        me = self._settings.config.agent
        return attach_params(
            self.key, nonce, mesh_id, kind="person", id=me.id, role=me.role, chain=self._chain(), version=__version__
        )

    def _writer(self, told: Mapping[str, Any]) -> Writer:
        epoch = told.get("epoch")
        return Writer(self.key, self.mesh_id, self.id, self.role, epoch if isinstance(epoch, int) else 0)

    def _command(self, method: str, fields: Mapping[str, Any], kind: type[Command], now: float) -> Any:
        try:
            command = msgspec.convert({**fields, "id": new_command_id(now), "at": now}, kind)
        except msgspec.ValidationError as error:
            raise BadInput(f"this cannot be asked of the ledger: {error}") from error
        return self.act(method, {"envelope": seal_command(self.key, self.mesh_id, command)})

    def _chain(self) -> tuple[bytes, ...]:
        """The grant for this key that lies in the grants folder, if one does."""
        for path, file in read_grants(self._settings.grants_dir):
            if path.stem == "person" and mesh_id_of(file.authority) == self.mesh_id:
                return file.chain
        return ()


def persons_key(path: Path) -> SigningKey:
    """The person's key, made at first use; where it is under a passphrase, the terminal is asked for it.

    Without a terminal it raises ``KeyLocked``: a passphrase is taken from no argument, environment or pipe.
    """
    if not is_locked(path) or not sys.stdin.isatty():
        return open_key(path)
    return open_key(path, getpass(f"Passphrase of {path}: ", stream=sys.stderr))


def person_of(run: Run) -> Person:
    """The session of the person who runs this command."""
    return Person(run, settings_of(run))


def as_root_or_admin(run: Run, method: str, params: Mapping[str, Any], *, timeout: float | None = None) -> Any:
    """Have something done that root may do without a session; anybody else shows who they are."""
    try:
        return run.client.call(method, params, timeout=timeout)
    except NotAllowed as error:
        if type(error) not in (NotAllowed, NotAttached):  # a grant or an invitation was refused: no session helps
            raise
        person_of(run)
        return run.client.call(method, params, timeout=timeout)


def settings_of(run: Run) -> Settings:
    """The portal's configuration, which names the person and their key."""
    named = run.environ.get("BZZZ_CONFIG_PATH")
    path = Path(named) if named else FOLDER / FILES["hap"]
    # A shell that points the variable at another process's file is still a person's shell.
    if kind_of(path) not in ("hap", None):
        path = path.with_name(FILES["hap"])
    return load("hap", path, socket=run.socket, around=Surroundings.here())


def _names(value: object) -> Sequence[str]:
    return [str(name) for name in value] if isinstance(value, list | tuple) else []
