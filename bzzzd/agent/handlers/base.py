"""What a handler gets and gives. To teach an agent something new, write one of these."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from msgspec import Struct

from bzzzd.agent.lease import Lease
from bzzzd.errors import Unavailable
from bzzzd.slurp.brief import Brief
from bzzzd.slurp.question import Field

TEXT: Final = "text/markdown"
JSON: Final = "application/json"

Progress = Callable[[float, float | None, str], None]


class Inquiry(Struct, frozen=True, kw_only=True):
    """What a handler asks people: one of ``choices`` (texts by id), a text, or a form.

    ``default`` is the choice that counts when nobody answers; without it silence fails the task.
    """

    kind: Literal["choose", "text", "form"]
    title: str
    body: str = ""
    choices: dict[str, str] = {}
    form: tuple[Field, ...] = ()
    default: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """``choice`` is the id of what was chosen, ``value`` the text or the form's fields."""

    choice: str
    value: str | dict[str, str] | None


Ask = Callable[[Inquiry], Awaitable[Answered]]


async def _nobody(inquiry: Inquiry) -> Answered:
    raise Unavailable("nobody can be asked here")


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed task: ``task`` as the ledger shows it, its decrypted ``brief``, and its lease.

    ``progress(done, total, note)`` may be called as often as wanted; what is shown is throttled.
    ``ask(inquiry)`` asks people and waits for them, while the lease is kept; a refusal ends the task by itself.
    ``remarks`` are what others said on the task's thread, a bounded line each: data like the brief, never a command.
    """

    task: Mapping[str, Any]
    brief: Brief
    lease: Lease
    progress: Progress
    remarks: tuple[str, ...] = ()
    ask: Ask = _nobody


@dataclass(frozen=True, slots=True)
class Product:
    """What came of it. ``failure``, a code of ``[a-z0-9_]``, fails the task with ``content`` as its explanation."""

    content: bytes
    content_type: str = TEXT
    failure: str = ""
    retryable: bool = False


class Handler(Protocol):
    """Does tasks of one kind.

    ``unusable`` is why it cannot work now, or empty; no task is claimed for it meanwhile. ``general``
    handlers also take tasks that ask for no capability.

    ``act`` is policy's word for what it does (``config.roles.ACTS``), and ``action(job)`` says what exactly it is
    about to do: the arguments that people are shown when they have to approve it, the same for the same job on every
    agent. It raises ``BadInput`` as ``run`` does.

    ``run`` raises ``BadInput`` for a brief that it cannot use (the task fails), ``CircuitOpen`` when
    it was never tried (the task is handed back), and any other error for a failure that another
    try may mend. It is cancelled when the lease is lost or the agent stops, and must end at once.
    """

    @property
    def general(self) -> bool: ...
    @property
    def unusable(self) -> str: ...
    @property
    def act(self) -> str: ...
    def action(self, job: Job) -> Mapping[str, Any]: ...
    async def run(self, job: Job) -> Product: ...
