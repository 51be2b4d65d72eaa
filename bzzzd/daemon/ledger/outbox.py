"""Commands given while the coordinator is away: kept on this node's disk, and brought to it once when it is back.

Kept are those that stay good for long: asking for a task, again or no longer, reporting on one whose lease is
held, and a person's answer to a prompt, which counts when it arrives before the prompt expires. Their author is
told that they wait. Order holds for each task; the command's own id makes a second delivery harmless, so a row
goes when the ledger has answered, whatever it said. A refusal is kept on the disk until its author has looked at
the task, at most ``REFUSED_S``. A fault that nobody expected is no answer: the command is brought again, and after
``FAULTS`` of them it is said that its outcome is unknown.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import structlog

from bzzzd.daemon.ledger import wire
from bzzzd.errors import BzzzError, Overloaded, StorageFailed, Unavailable, UnknownOutcome, unexpected
from bzzzd.slurp import task as rules
from bzzzd.slurp.commands import Answer, Author, Cancel, Command, Complete, Fail, PromptCommand, Retry, Settle, Submit
from bzzzd.slurp.ledger import Outcome
from bzzzd.slurp.task import LedgerClock
from bzzzd.storage import outbox
from bzzzd.storage.journal.journal import Journal

MOST: Final = 10_000
MOST_BYTES: Final = 268_435_456
_AT_ONCE: Final = 64
_REST_S: Final = 1.0
_REFUSED_KEPT: Final = 1000
REFUSED_S: Final = 7 * 86400.0
FAULTS: Final = 20
_ASKING: Final = ("submit", "retry")
_KINDS: Final = (Submit, Cancel, Retry, Complete, Fail, Answer, Settle)
_DO: Final = msgspec.msgpack.Decoder(wire.Do)
_LOG: Final = structlog.get_logger()
Shown = dict[str, Any]


class Outbox:
    """``deliver(do)`` brings a command to the ledger; ``tell(kind, by, shown)`` is for those who follow tasks."""

    def __init__(
        self,
        journal: Journal,
        node: str,
        deliver: Callable[[wire.Do], Awaitable[Outcome]],
        tell: Callable[[str, str, Shown], None],
    ) -> None:
        self._journal = journal
        self._node = node
        self._deliver = deliver
        self._tell = tell
        self._rows: OrderedDict[int, outbox.Kept] = OrderedDict()
        self._tasks: OrderedDict[str, Shown] = OrderedDict()
        self._refused: OrderedDict[str, Shown] = OrderedDict()
        self._faults: Counter[int] = Counter()
        self._bytes = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._rows)

    async def load(self) -> None:
        for kept in await self._journal.read(outbox.index):
            self._enter(kept)
        since = time.time() - REFUSED_S
        for task, shown in await self._journal.write(lambda conn: outbox.refused(conn, since)):
            self._refused[task] = msgspec.msgpack.decode(shown)
        self._wake.set()

    def _enter(self, kept: outbox.Kept) -> None:
        if kept.number not in self._rows:
            self._rows[kept.number] = kept
            self._bytes += kept.size
            self._tasks.setdefault(kept.task, msgspec.msgpack.decode(kept.shown))

    def takes(self, command: Command, error: BzzzError | None = None) -> bool:
        """Whether this command may wait: for one of its task that waits, or after ``error``, for the coordinator."""
        if not isinstance(command, _KINDS):
            return False
        if error is None:
            return command.task in self._tasks
        return isinstance(error, Unavailable | UnknownOutcome) and not isinstance(error, Overloaded)

    async def keep(self, author: Author, command: Command, do: wire.Do) -> Shown:
        """Keep a command; durable when this returns what to tell its author. Raises ``Overloaded``, ``DiskFull``."""
        if len(self._rows) >= MOST or self._bytes >= MOST_BYTES:
            raise Overloaded(f"{len(self._rows)} commands wait here for the coordinator; try again when it is back")
        by = f"{author.kind}:{author.id}"
        task, shown = self._shown(author, command)
        packed, said = wire.encode(do), msgspec.msgpack.encode(shown)
        number = await self._journal.write(lambda conn: outbox.put(conn, by, command.id, task, packed, said))
        self._enter(outbox.Kept(number, task, said, len(packed)))
        if not isinstance(command, PromptCommand):
            self._tell("waiting", by, shown)
        self._wake.set()
        return shown

    def _shown(self, author: Author, command: Command) -> tuple[str, Shown]:
        name = command.new_task if isinstance(command, Retry) else command.task
        now = LedgerClock(0.0, time.time())
        if isinstance(command, Submit):
            made = rules.submit(
                id=name, author=author.id, author_kind=author.kind, brief=command.brief, now=now, role=command.role,
                capability=command.capability, priority=command.priority, project=command.project,
                retry_of=command.retry_of, deadline_s=command.deadline_s, approve=command.approve,
            )  # fmt: skip
        else:
            made = rules.submit(id=name, author=author.id, author_kind=author.kind, brief="", now=now)
        waits = {"state": "waiting", "waits_at": self._node, "waits_with": type(command).__name__.lower()}
        waits["waits_by"] = f"{author.kind}:{author.id}"
        return name, made.to_map() | waits

    def find(self, task: str) -> Shown | None:
        """What is said of a task that waits here to be asked for, or whose asking was refused after it had waited."""
        shown = self._tasks.get(task) or self._still_refused(task)
        return shown if shown is not None and shown["waits_with"] in _ASKING else None

    def refusal(self, task: str) -> Shown | None:
        """Which command of a task was refused after it had waited here, and why: {command, code, why, at}."""
        shown = self._still_refused(task)
        return None if shown is None else shown["refused"]

    def _still_refused(self, task: str) -> Shown | None:
        shown = self._refused.get(task)
        if shown is not None and shown["refused"]["at"] < time.time() - REFUSED_S:
            del self._refused[task]
            return None
        return shown

    async def seen(self, task: str, kind: str, id: str) -> None:
        """A caller was told of a refusal; when the command was theirs, it is forgotten."""
        shown = self._refused.get(task)
        if shown is not None and shown["waits_by"] == f"{kind}:{id}":
            del self._refused[task]
            await self._journal.write(lambda conn: outbox.seen(conn, task))

    def all(self) -> list[Shown]:
        """Tasks that wait here to be asked for, or whose asking was refused, newest first."""
        refused = [shown for task in list(self._refused) if (shown := self._still_refused(task)) is not None]
        return [shown for shown in reversed([*refused, *self._tasks.values()]) if shown["waits_with"] in _ASKING]

    def kick(self) -> None:
        """The ledger can be reached again."""
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._rows and not await self._bring():
                await asyncio.sleep(_REST_S)
                self._wake.set()

    async def _bring(self) -> bool:
        """Bring what waits, one command of each task at a time; whether the ledger answered all."""
        while self._rows:
            first: dict[str, outbox.Kept] = {}
            for kept in self._rows.values():
                first.setdefault(kept.task, kept)
                if len(first) >= _AT_ONCE:
                    break
            if not all(await asyncio.gather(*(self._one(kept) for kept in first.values()))):
                return False
        return True

    async def _one(self, kept: outbox.Kept) -> bool:
        """Bring one command; whether it is done with. A full disk, here or there, is no word on it."""
        try:
            packed = await self._journal.read(lambda conn: outbox.read(conn, kept.number))
            refusal = await self._refusal(kept, packed) if packed is not None else None
            if refusal is not None:
                await self._refuse(kept, refusal)
            else:
                await self._journal.write(lambda conn: outbox.remove(conn, kept.number))
        except (Unavailable, UnknownOutcome, StorageFailed):
            return False
        self._leave(kept)
        return True

    async def _refusal(self, kept: outbox.Kept, packed: bytes) -> BzzzError | None:
        """Why the ledger does not do a command, when it does not."""
        try:
            await self._deliver(_DO.decode(packed))
        except (Unavailable, UnknownOutcome, StorageFailed):
            raise
        except BzzzError as error:
            return self._unknown(kept) if unexpected(error) else error
        except Exception as error:  # of the ledger here: it must not end the bringing of all the others
            _LOG.error("a command that waited failed", task_id=kept.task, exc_info=error)
            return self._unknown(kept)
        return None

    def _unknown(self, kept: outbox.Kept) -> UnknownOutcome:
        """What is said of a command at which the ledger fails; raises it as long as it is tried again."""
        self._faults[kept.number] += 1
        error = UnknownOutcome(
            f"the ledger failed unexpectedly at this command, {FAULTS} times; whether it counts is not known, so look "
            "before you send another (the coordinator's log has the reason: bzzz logs)"
        )
        if self._faults[kept.number] < FAULTS:
            raise error
        return error

    async def _refuse(self, kept: outbox.Kept, error: BzzzError) -> None:
        shown: Shown = msgspec.msgpack.decode(kept.shown)
        ending = "has an unknown outcome" if isinstance(error, UnknownOutcome) else "was refused"
        _LOG.warning(f"a command that waited {ending}", task_id=kept.task, why=error)
        at = time.time()
        shown["refused"] = {"command": shown["waits_with"], "code": error.code, "why": error.message, "at": at}
        if shown["waits_with"] in _ASKING:
            shown |= {"state": "rejected", "reason": error.code.lower()}
        said = msgspec.msgpack.encode(shown)
        await self._journal.write(lambda conn: outbox.refuse(conn, kept, at, said, _REFUSED_KEPT))
        self._refused[kept.task] = shown
        while len(self._refused) > _REFUSED_KEPT:
            self._refused.popitem(last=False)
        if shown["waits_with"] in _ASKING:
            self._tell("rejected", "ledger", shown)

    def _leave(self, kept: outbox.Kept) -> None:
        if self._rows.pop(kept.number, None) is not None:
            self._bytes -= kept.size
        self._faults.pop(kept.number, None)
        if all(other.task != kept.task for other in self._rows.values()):
            self._tasks.pop(kept.task, None)
