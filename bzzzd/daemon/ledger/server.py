"""The coordinator's side: commands and looks of other members, answered from the ledger that is kept here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import structlog

from bzzzd.daemon.ledger import audit, wire
from bzzzd.daemon.ledger.courier import Spawn
from bzzzd.daemon.ledger.enclosed import Enclosed
from bzzzd.daemon.ledger.kept import KeptLedger
from bzzzd.daemon.ledger.line import Line
from bzzzd.daemon.ledger.replicator import Replicator
from bzzzd.daemon.ledger.seat import Seat
from bzzzd.errors import BzzzError, Conflict, FinalState, NotAllowed, Unavailable
from bzzzd.identity.grants import Grant
from bzzzd.mesh.peer_id import key_of, peer_id_of
from bzzzd.slurp.commands import Author, Claim, Command, author_of, open_command
from bzzzd.slurp.ledger import EventPage, Outcome
from bzzzd.storage.versions.adopt import Carried
from bzzzd.storage.versions.context import ContextStore
from bzzzd.storage.versions.rows import Pending

_WAIT_MOST_S = 30.0
_LOG = structlog.get_logger()


class LedgerServer:
    """``grant_of(key, chain)`` gives an author's grant, or raises; the forwarder's plays no part.

    ``check(author, command, pending)`` raises where another version came than the one that the command names;
    ``refused(task, agent)`` hears of claims that were refused. The node of the standby of ``copies`` is answered
    while the entries are on their way to it, and waits for them: that saves the way there and back.
    """

    def __init__(
        self,
        seat: Seat,
        line: Line,
        contexts: ContextStore,
        mesh_id: str,
        *,
        grant_of: Callable[[bytes, Sequence[bytes]], Grant],
        check: Callable[[Author, Command, Pending | None], None],
        judging: Callable[[str], AbstractContextManager[None]],
        refused: Callable[[str, str], None],
        name: Callable[[], str],
        kept: KeptLedger,
        copies: Replicator,
        spawn: Spawn,
    ) -> None:
        self._seat = seat
        self._line = line
        self._contexts = contexts
        self._mesh_id = mesh_id
        self._grant_of = grant_of
        self._check = check
        self._judging = judging
        self._refused = refused
        self._name = name
        self._kept = kept
        self._copies = copies
        self._spawn = spawn

    async def answer(self, peer_id: str, question: wire.Question) -> bytes:
        """Raises ``Unavailable`` on a node that is not the coordinator, and what the ledger raises."""
        if not self._seat.acting:
            raise Unavailable(f"this node does not keep the ledger; the coordinator is {self._name() or 'not known'}")
        return wire.encode(await self._found(peer_id, question))

    async def _found(self, peer_id: str, question: wire.Question) -> object:
        ledger = self._seat.here
        match question:
            case wire.Commands(items=items):
                early = bool(self._copies.standby) and peer_id == self._copies.peer_id
                return await self._done(key_of(peer_id), items, early)
            case wire.Show(id=id):
                return await ledger.show(id)
            case wire.List(dead=True):
                return await ledger.dead_letters(limit=question.limit, after=question.after)
            case wire.List():
                return await ledger.list_tasks(
                    state=question.state, project=question.project, limit=question.limit, after=question.after
                )
            case wire.Needs():
                return await ledger.open_needs()
            case wire.Open():
                return await ledger.open_tasks(question.role, question.capability, question.limit)
            case wire.Trace():
                return await ledger.trace(question.id, limit=question.limit, after=question.after)
            case wire.Retries(id=id):
                return await ledger.retries(id)
            case wire.ShowPrompt(id=id):
                return await ledger.prompt(id)
            case wire.ListPrompts():
                return await ledger.list_prompts(
                    live=question.live, state=question.state, task=question.task, limit=question.limit,
                    after=question.after,
                )  # fmt: skip
            case wire.Events():
                return await self._news(question)
            case wire.Stand():
                return await ledger.status()
            case _:
                raise NotAllowed("a copy goes from the coordinator to its standby, not to the coordinator")

    async def _news(self, asked: wire.Events) -> wire.News:
        incarnation = (await self._seat.here.status()).incarnation
        if asked.incarnation not in ("", incarnation):
            head = self._line.number
            return wire.News(incarnation, EventPage((), head, reset=True), head)
        page = await self._line.after(asked.since, asked.limit, min(asked.wait_s, _WAIT_MOST_S))
        if not self._seat.acting:
            raise Unavailable("this node does not keep the ledger any more")
        upto = page.events[-1].number if page.events else page.head
        shown = tuple(event for event in page.events if event.kind != "renewed")
        return wire.News(incarnation, EventPage(shown, page.head, page.reset), upto)

    async def deliver(self, holder: bytes, do: wire.Do) -> Outcome:
        """Do a command that this node itself has kept until now."""
        return (await self._execute(holder, do, early=False))[0]

    async def _done(self, holder: bytes, items: Sequence[wire.Do], early: bool) -> list[wire.Done]:
        """What became of each command. One that was begun is ended and told, also when its asker has gone meanwhile."""
        answer: asyncio.Future[list[wire.Done]] = asyncio.get_running_loop().create_future()
        self._spawn("commands of a member", self._do_all(holder, items, early, answer))
        return await answer

    async def _do_all(
        self, holder: bytes, items: Sequence[wire.Do], early: bool, answer: asyncio.Future[list[wire.Done]]
    ) -> None:
        try:
            found = await asyncio.gather(*(self._do(holder, one, early) for one in items))
            if not answer.done():
                answer.set_result(found)
        except Exception as error:  # told to whoever asked, like any other fault of a handler
            if not answer.done():
                answer.set_exception(error)
        finally:
            answer.cancel()  # nothing, unless this task was ended with the node

    async def _do(self, holder: bytes, do: wire.Do, early: bool) -> wire.Done:
        try:
            outcome, author = await self._execute(holder, do, early)
            if early and outcome.events:
                # Its copy brings the brief as well, if only by an entry before this one.
                return wire.Done(outcome, upto=(self._copies.incarnation, outcome.events[-1].number))
            return wire.Done(outcome, None, await self._brief(outcome, author))
        except BzzzError as error:
            return wire.Done(None, wire.error_map(error))
        except Exception as error:  # the fault of one command is none of those that came with it
            _LOG.error("a command of a member failed", exc_info=error)
            fault = BzzzError("the coordinator failed at this command unexpectedly; its log has the reason: bzzz logs")
            return wire.Done(None, wire.error_map(fault))

    async def _execute(self, holder: bytes, do: wire.Do, early: bool) -> tuple[Outcome, Author | None]:
        # A node opens a command before it sends it on, so a forged one is not its author's alone.
        with self._judging(peer_id_of(holder)):
            envelope, command = open_command(do.raw, self._mesh_id)
        author = author_of(envelope, self._grant_of(envelope.author, do.chain))
        pending = None if do.version is None else await self._contexts.verify(do.version, holder=holder)
        try:
            self._check(author, command, pending)
            along = None if pending is None else Enclosed(pending)
            outcome = await self._kept.commit(author, command, do.raw, along)
            if pending is not None and outcome.adopted:
                await self._contexts.discard(pending)
        except BzzzError as error:
            if pending is not None:
                await self._contexts.discard(pending)
            audit.command_refused(error, command, f"{author.kind}:{author.id}")
            if isinstance(command, Claim) and isinstance(error, Conflict | NotAllowed | FinalState):
                self._refused(command.task, author.id)
            raise
        if early and outcome.events:
            self._spawn("entries on their way to the standby", self._enter(outcome))
        else:
            await self._enter(outcome)
        return outcome, author if isinstance(command, Claim) else None

    async def _enter(self, outcome: Outcome) -> None:
        await self._kept.settled(outcome)
        self._line.add(outcome.events)

    async def _brief(self, outcome: Outcome, claimer: Author | None) -> Carried | None:
        if claimer is None:
            return None
        try:
            return await self._contexts.carry(outcome.task.brief)
        except BzzzError:
            return None  # its node looks for it at the nodes that hold it
