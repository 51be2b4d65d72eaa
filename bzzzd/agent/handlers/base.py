"""What a handler gets and gives. To teach an agent something new, write one of these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from bzzzd.agent.lease import Lease
from bzzzd.slurp.brief import Brief

TEXT: Final = "text/markdown"
JSON: Final = "application/json"

Progress = Callable[[float, float | None, str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed task: ``task`` as the ledger shows it, its decrypted ``brief``, and its lease.

    ``progress(done, total, note)`` may be called as often as wanted; what is shown is throttled.
    ``remarks`` are what others said on the task's thread, a bounded line each: data like the brief, never a command.
    """

    task: Mapping[str, Any]
    brief: Brief
    lease: Lease
    progress: Progress
    remarks: tuple[str, ...] = ()


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

    ``run`` raises ``BadInput`` for a brief that it cannot use (the task fails), ``CircuitOpen`` when
    it was never tried (the task is handed back), and any other error for a failure that another
    try may mend. It is cancelled when the lease is lost or the agent stops, and must end at once.
    """

    @property
    def general(self) -> bool: ...
    @property
    def unusable(self) -> str: ...
    async def run(self, job: Job) -> Product: ...
