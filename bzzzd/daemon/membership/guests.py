"""Tasks that guests ask for: the node writes the brief and signs for a local user who has no grant.

Policy's ``guests`` opens it (``task.ask``), here and again in the ledger, which lets a node submit only then.
The brief says for whom: that is the node's word, from SO_PEERCRED, and no more than that. A user has few
asks a minute and few open tasks; both are counted here, from the start of this process.
"""

from __future__ import annotations

import asyncio
import pwd
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any, Final, Protocol

from msgspec import Meta, Struct

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.gate import Gate
from bzzzd.errors import BzzzError, NotAllowed, NotFound, Overloaded, Unavailable, UnknownOutcome
from bzzzd.mesh.turnstile import Bucket
from bzzzd.rpc.access import guest
from bzzzd.rpc.registry import Registry
from bzzzd.slurp.brief import BRIEF_TYPE, Brief, Writer, submit_params
from bzzzd.slurp.commands import Id, NameOrAny, Priority
from bzzzd.slurp.task import FINAL, Task

METHOD: Final = "task.ask"
BODY_LIMIT: Final = 65_536
OPEN_MOST: Final = 20
RATE: Final = 1 / 6  # a second: ten a minute
BURST: Final = 10.0
_USERS: Final = 1024


class AskParams(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As ``Submit`` and ``Brief`` have them; ``deadline_s`` is in seconds."""

    title: Annotated[str, Meta(min_length=1, max_length=500)]
    body: Annotated[str, Meta(max_length=BODY_LIMIT)] = ""
    role: NameOrAny = ""
    capability: NameOrAny = ""
    project: Id = "default"
    priority: Priority = 5
    deadline_s: Annotated[float, Meta(gt=0, le=366 * 86400)] | None = None


class Call(Protocol):
    """What the server says of a call."""

    @property
    def caller(self) -> Any: ...


class Ledger(Protocol):
    async def show(self, task_id: str) -> Task: ...


class Allowance:
    """One user's part: how fast it may ask, and which of its tasks were open when last looked at."""

    def __init__(self) -> None:
        self.bucket = Bucket(RATE, BURST)
        self.open: list[str] = []
        self.turn = asyncio.Lock()


class GuestDesk:
    """``submit(call, envelope, version, content)`` brings a signed submit to the ledger; ``epoch()`` is that of now."""

    def __init__(
        self,
        key: SigningKey,
        mesh_id: str,
        node_id: str,
        role: str,
        gate: Gate,
        ledger: Ledger,
        submit: Callable[..., Any],
        *,
        epoch: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._key = key
        self._mesh_id = mesh_id
        self._node_id = node_id
        self._role = role
        self._gate = gate
        self._ledger = ledger
        self._submit = submit
        self._epoch = epoch
        self._clock = clock
        self._wall = wall
        self._users: OrderedDict[int, Allowance] = OrderedDict()

    async def ask(self, call: Call, params: AskParams) -> dict[str, Any]:
        """Submit a task for a caller without a grant, signed by the node, where policy lets guests do so."""
        caller = call.caller
        if caller.kind != "guest":
            raise NotAllowed(f"{caller.id} has a grant, and signs tasks with its own key: bzzz task submit")
        self._gate.check(caller, METHOD, "task", "write")
        user = await asyncio.to_thread(user_of, caller.uid)
        allowance = self._allowance(caller.uid)
        async with allowance.turn:
            await self._check(allowance, user)
            writer = Writer(self._key, self._mesh_id, self._node_id, self._role, self._epoch())
            task, signed = submit_params(
                writer, Brief(params.title, params.body, asked_by=f"{user} (uid {caller.uid})"),
                readers=self._gate.recipients(self._role, BRIEF_TYPE), at=self._wall(), role=params.role,
                capability=params.capability, project=params.project, priority=params.priority,
                deadline_s=params.deadline_s,
            )  # fmt: skip
            # Before the answer: one that is lost must count too.
            allowance.open.append(task)
            try:
                answer: dict[str, Any] = await self._submit(call, **signed)
            except BzzzError as error:
                if not isinstance(error, Unavailable | UnknownOutcome):
                    allowance.open.remove(task)
                raise
        return answer

    def _allowance(self, uid: int) -> Allowance:
        found = self._users.setdefault(uid, Allowance())
        self._users.move_to_end(uid)
        while len(self._users) > _USERS:
            self._users.popitem(last=False)
        return found

    async def _check(self, allowance: Allowance, user: str) -> None:
        more = f"without that limit, as a person: sudo bzzz mesh admin add {user}"
        if not allowance.bucket.take(self._clock()):
            raise Overloaded(f"{user} asks too fast for a guest; wait {1 / RATE:.0f} s, or ask {more}")
        if len(allowance.open) >= OPEN_MOST:
            allowance.open = [task for task in allowance.open if await self._is_open(task)]
        if len(allowance.open) >= OPEN_MOST:
            raise Overloaded(f"{OPEN_MOST} tasks of the guest {user} are open; wait until one has ended, or ask {more}")

    async def _is_open(self, task: str) -> bool:
        try:
            return (await self._ledger.show(task)).state not in FINAL
        except NotFound:
            return False
        except (Unavailable, UnknownOutcome):
            return True  # it waits for the coordinator

    def register(self, registry: Registry) -> None:
        registry.add(METHOD, guest(), AskParams, self.ask, result="{task}")


def user_of(uid: int) -> str:
    """The name of a local user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"
