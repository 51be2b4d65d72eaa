"""The ledger as a node sees it that does not keep it: every call goes to the coordinator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn, TypeVar

import msgspec

from bzzzd.daemon.ledger import wire
from bzzzd.daemon.ledger.courier import Ask, Courier, Spawn
from bzzzd.daemon.ledger.enclosed import Enclosed
from bzzzd.errors import NotAllowed, Unavailable, UnknownOutcome, from_map
from bzzzd.slurp.commands import Author, Command
from bzzzd.slurp.ledger import (
    Along,
    Backup,
    EventPage,
    Expired,
    Ledger,
    Outcome,
    PromptPage,
    Status,
    Step,
    TaskPage,
)
from bzzzd.slurp.prompt import Prompt, PromptState
from bzzzd.slurp.task import State, Task
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.rows import Pending

T = TypeVar("T")
_LOOK_S: Final = 5.0
_COPY_S: Final = 5.0
_TASK: Final = msgspec.msgpack.Decoder(Task)
_PROMPT: Final = msgspec.msgpack.Decoder(Prompt)
_PROMPTS: Final = msgspec.msgpack.Decoder(PromptPage)
_PAGE: Final = msgspec.msgpack.Decoder(TaskPage)
_NEEDS: Final = msgspec.msgpack.Decoder(list[tuple[str, str]])
_TASKS: Final = msgspec.msgpack.Decoder(list[Task])
_STEPS: Final = msgspec.msgpack.Decoder(list[Step])
_IDS: Final = msgspec.msgpack.Decoder(list[str])
_NEWS: Final = msgspec.msgpack.Decoder(wire.News)
_STATUS: Final = msgspec.msgpack.Decoder(Status)


class RemoteLedger(Ledger):
    """``chain_of(key)`` gives an author's grants, ``pack(pending)`` a version as it travels.

    ``adopt(carried)`` takes a brief that came with a claim; ``reached(incarnation, number, seconds)`` says whether
    this node's copy of the ledger has come so far. Outcomes carry their events; whoever follows
    the ledger's events gets them there too.
    """

    def __init__(
        self,
        ask: Ask,
        spawn: Spawn,
        *,
        chain_of: Callable[[bytes], Sequence[bytes]],
        pack: Callable[[Pending], Awaitable[Carried]],
        adopt: Callable[[Carried], Awaitable[object]],
        reached: Callable[[str, int, float], Awaitable[bool]],
    ) -> None:
        self._reached = reached
        self._ask = ask
        self._courier = Courier(ask, spawn)
        self._chain_of = chain_of
        self._pack = pack
        self._adopt = adopt

    async def start(self) -> Expired:
        """Nothing expires here: that is the coordinator's."""
        return Expired((), None)

    async def execute(self, author: Author, command: Command, raw: bytes, along: Along | None = None) -> Outcome:
        return await self.send(await self.prepare(author, raw, along))

    async def prepare(self, author: Author, raw: bytes, along: Along | None) -> wire.Do:
        """A command as it travels."""
        version = await self._pack(along.pending) if isinstance(along, Enclosed) else None
        return wire.Do(raw, tuple(self._chain_of(author.key)), version)

    async def send(self, do: wire.Do) -> Outcome:
        """Have the coordinator do a command; raises what its ledger raised."""
        done = await self._courier.send(do)
        if done.upto is not None and not await self._reached(*done.upto, _COPY_S):
            done = await self._again(do)
        if done.error is not None:
            raise from_map(done.error)
        if done.outcome is None:
            raise UnknownOutcome("the coordinator answered without an outcome")
        if done.brief is not None:
            await self._adopt(done.brief)
        return done.outcome

    async def _again(self, do: wire.Do) -> wire.Done:
        """Ask for the answer to a command whose entries did not come here: as a repetition it waits there."""
        try:
            return await self._courier.send(do)
        except Unavailable as error:
            raise UnknownOutcome(error.message) from error

    async def expire(self) -> Expired:
        return Expired((), None)

    async def prune(self) -> int:
        return 0

    async def show(self, task_id: str) -> Task:
        return await self._look(wire.Show(task_id), _TASK)

    async def list_tasks(
        self, *, state: State | None = None, project: str | None = None, limit: int = 100, after: str | None = None
    ) -> TaskPage:
        return await self._look(wire.List(state, project, False, limit, after), _PAGE)

    async def dead_letters(self, *, limit: int = 100, after: str | None = None) -> TaskPage:
        return await self._look(wire.List(None, None, True, limit, after), _PAGE)

    async def open_needs(self) -> list[tuple[str, str]]:
        return await self._look(wire.Needs(), _NEEDS)

    async def open_tasks(self, role: str, capability: str, limit: int) -> list[Task]:
        return await self._look(wire.Open(role, capability, limit), _TASKS)

    async def trace(self, task_id: str, *, limit: int = 1000, after: int = 0) -> list[Step]:
        return await self._look(wire.Trace(task_id, limit, after), _STEPS)

    async def retries(self, task_id: str) -> list[str]:
        return await self._look(wire.Retries(task_id), _IDS)

    async def prompt(self, prompt_id: str) -> Prompt:
        return await self._look(wire.ShowPrompt(prompt_id), _PROMPT)

    async def list_prompts(
        self,
        *,
        live: bool = False,
        state: PromptState | None = None,
        task: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> PromptPage:
        return await self._look(wire.ListPrompts(live, state, task, limit, after), _PROMPTS)

    async def events(self, since: int, limit: int = 500) -> EventPage:
        return (await self.news("", since, limit, 0.0)).page

    async def news(self, incarnation: str, since: int, limit: int, wait_s: float) -> wire.News:
        """Events after ``since``, waiting ``wait_s`` seconds for one; an empty ``incarnation`` is any."""
        return await self._look(wire.Events(incarnation, since, limit, wait_s), _NEWS, wait_s + _LOOK_S)

    async def status(self) -> Status:
        return await self._look(wire.Stand(), _STATUS)

    async def backup(self, target: Path) -> None:
        _elsewhere("backup")

    async def restore(self, checked: Backup) -> Status:
        _elsewhere("restore")

    async def promote(self) -> Status:
        _elsewhere("promote")

    async def _look(self, question: wire.Question, decoder: msgspec.msgpack.Decoder[T], timeout: float = _LOOK_S) -> T:
        return wire.answer(await self._ask(wire.encode(question), timeout), decoder)


def _elsewhere(what: str) -> NoReturn:
    raise NotAllowed(f"this node does not keep the ledger; run bzzz ledger {what} on the coordinator (bzzz status)")
