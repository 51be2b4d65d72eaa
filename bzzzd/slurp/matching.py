"""Which open task is offered to which agent: pure and incremental; times are seconds of one clock, passed in.

    task_open ──► queue of its need ──offers()──► offered ──task_taken──► held ──task_gone──►
                    ▲    ▲     │                     │                      │
                    │    │     └──► parked ──┐       │ time-out, refused,   │ task_open again
                    │    └───────────────────┘       │ agent_gone           │ (lease ended, handed back)
                    └────────────────────────────────┴──────────────────────┘

Fair: tasks go by priority, then age, over all needs; of the agents that can serve a task the least
loaded gets it, and of equals the one whose last offer is oldest. An agent that hands a task back
doesn't get it again for a while unless time passes (the task is parked when no other is free), and
one that lets offers lapse rests, longer each time, so that a silent agent doesn't hold up the mesh.

Bounded: for each need (a role and a capability) only the best tasks are in memory, between ``keep``
and twice as many; the rest stay in the ledger until ``hungry`` asks for them. An event costs what it
changes, never a walk over the open tasks.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import count, islice
from typing import Final

from msgspec import Struct

from bzzzd.slurp.task import FINAL, LEASED, Task
from bzzzd.slurp.waiting import Need, Queue, Rank, Waiting

_LOOK_AHEAD: Final = 16
_LONGEST_REST_S: Final = 60.0
_MOST_MISSES: Final = 16


class Offer(Struct, frozen=True):
    """``agent`` may claim ``task`` until ``expires``; then somebody else is asked."""

    task: str
    agent: str
    expires: float


class _Agent:
    __slots__ = ("entry", "id", "misses", "needs", "offered", "rests_until", "slots", "turn")

    def __init__(self, id: str) -> None:
        self.id = id
        self.needs: frozenset[Need] = frozenset()
        self.slots = 0
        self.offered: set[str] = set()
        self.misses = 0
        self.rests_until: float | None = None
        self.turn = 0
        self.entry: tuple[float, int, str] | None = None


class Matcher:
    """Holds the open tasks and the agents; every method is one event.

    ``offer_s``: how long an offer waits for its claim. ``refusal_s``: how long an agent isn't asked
    again for a task that it refused, handed back, failed or lost. ``keep``: see the module.
    """

    def __init__(self, *, offer_s: float = 5.0, refusal_s: float = 10.0, keep: int = 512) -> None:
        self._offer_s = offer_s
        self._refusal_s = refusal_s
        self._keep = keep
        self._tasks: dict[str, Waiting] = {}
        self._queues: dict[Need, Queue] = {}
        self._agents: dict[str, _Agent] = {}
        self._refusals: dict[str, dict[str, float]] = {}
        self._holders: dict[str, str] = {}
        self._held: dict[str, int] = {}
        self._free: list[tuple[float, int, str]] = []
        self._ready: set[Need] = set()
        self._hungry: set[Need] = set()
        self._timers: list[tuple[float, int, str, str, int]] = []
        self._numbers = count(1)

    # Tasks.

    def follow(self, task: Task, now: float) -> None:
        """Take over a task's state from a ledger event or outcome."""
        if task.state == "submitted":
            self.task_open(task, now)
        elif task.state in LEASED and task.agent is not None:
            self.task_taken(task.id, task.agent)
        elif task.state in FINAL:
            self.task_gone(task.id)

    def task_open(self, task: Task, now: float) -> None:
        """A task waits for an owner; one that was held until now goes to somebody else first, if it can."""
        former = self._let_go(task.id)
        if task.id in self._tasks:
            return
        waiting = Waiting(task)
        queue = self._queues.setdefault(waiting.need, Queue(self._keep))
        if task.priority <= queue.floor:
            return
        if former is not None:
            self._remember(task.id, former, now)
        self._tasks[task.id] = waiting
        queue.known += 1
        self._queue(waiting)

    def task_taken(self, task_id: str, agent_id: str) -> None:
        """``agent_id`` holds the task, whoever it was offered to."""
        if self._holders.get(task_id) == agent_id:
            return
        self._let_go(task_id)
        self._close(task_id)
        self._holders[task_id] = agent_id
        self._held[agent_id] = self._held.get(agent_id, 0) + 1
        agent = self._agents.get(agent_id)
        if agent is not None:
            agent.misses, agent.rests_until = 0, None
            self._place(agent)

    def task_gone(self, task_id: str) -> None:
        """The task has ended."""
        self._refusals.pop(task_id, None)
        self._let_go(task_id)
        self._close(task_id)

    def refused(self, task_id: str, agent_id: str, now: float) -> None:
        """The agent declines an offer, or its claim was refused."""
        waiting = self._tasks.get(task_id)
        if waiting is None:
            return
        self._remember(task_id, agent_id, now)
        if waiting.agent == agent_id:
            self._leave(waiting)
            self._queue(waiting)

    def forget_tasks(self) -> None:
        """The ledger was replaced as a whole (restored or promoted): keep the agents, and take its tasks anew."""
        for tasks in (self._tasks, self._queues, self._refusals, self._holders, self._held):
            tasks.clear()
        self._ready.clear()
        self._hungry.clear()
        self._timers = [timer for timer in self._timers if timer[2] == "rest"]
        heapify(self._timers)
        for agent in self._agents.values():
            agent.offered.clear()
            self._place(agent)

    # Agents.

    def agent_here(self, agent_id: str, role: str, capabilities: Iterable[str], slots: int) -> None:
        """An agent can take tasks, or what it can take has changed. ``slots``: tasks at a time; 0 pauses it."""
        agent = self._agents.setdefault(agent_id, _Agent(agent_id))
        agent.needs = frozenset((r, c) for r in ("", role) for c in ("", *capabilities))
        agent.slots = slots
        agent.misses, agent.rests_until = 0, None
        self._place(agent)

    def agent_gone(self, agent_id: str) -> None:
        """The agent is away; its open offers go to others. What it holds stays its own until the ledger says else."""
        agent = self._agents.pop(agent_id, None)
        if agent is None:
            return
        self._unplace(agent)
        for task_id in sorted(agent.offered):
            waiting = self._tasks[task_id]
            self._leave(waiting)
            self._queue(waiting)

    # What to do.

    def offers(self, now: float, limit: int = 256) -> list[Offer]:
        """The offers that can be made now, ``limit`` at most; call it after events, and at ``next_time``."""
        self._wake(now)
        made: list[Offer] = []
        while self._ready and self._free and len(made) < limit:
            ready, self._ready = self._ready, set()
            heads = [(head.rank, need) for need in ready if (head := self._queues[need].head()) is not None]
            heapify(heads)
            while heads and self._free and len(made) < limit:
                self._serve(heads, made, now)
            self._ready.update(need for _, need in heads)
        if not self._free:
            self._ready.clear()  # whoever gets free makes its needs ready
        return made

    def _serve(self, heads: list[tuple[Rank, Need]], made: list[Offer], now: float) -> None:
        """Offer or park the best task of all; its need stays among ``heads`` while it has more and somebody is free."""
        need = heappop(heads)[1]
        queue = self._queues[need]
        waiting = queue.head()
        assert waiting is not None
        agent, lapse = self._choose(waiting, now)
        if agent is not None:
            self._leave(waiting)
            made.append(self._offer(waiting, agent, now))
        elif lapse is not None:
            self._leave(waiting)
            queue.park(waiting)
            self._wake_parked(waiting, lapse)
        else:
            return
        self._tidy(need, queue)
        if (head := queue.head()) is not None:
            heappush(heads, (head.rank, need))

    def next_time(self) -> float | None:
        """When to call ``offers`` again: 0 is at once (the last call reached its limit), None after the next event."""
        if self._ready and self._free:
            return 0.0
        return self._timers[0][0] if self._timers else None

    def hungry(self) -> list[tuple[Need, int]]:
        """Needs of which the ledger may have more open tasks, and how many of its best to pass to ``refill``."""
        return [(need, self._keep + self._queues[need].known) for need in sorted(self._hungry)]

    def refill(self, need: Need, tasks: Sequence[Task], limit: int, now: float) -> None:
        """Take the ledger's best open tasks of ``need``; fewer than ``limit``: there are no more.

        The ledger may have moved on since it was asked: a task that was claimed meanwhile is passed
        over, and one that has ended costs a refused claim, after which the caller says ``task_gone``.
        """
        queue = self._queues.setdefault(need, Queue(self._keep))
        self._hungry.discard(need)
        queue.floor = -1
        for task in tasks:
            if task.id not in self._holders:
                self.task_open(task, now)
        if len(tasks) >= limit:
            queue.floor = max(queue.floor, tasks[-1].priority)
        self._tidy(need, queue)

    # Inside.

    def _choose(self, waiting: Waiting, now: float) -> tuple[_Agent | None, float | None]:
        """The best free agent; without one, when the first refusal of those free lapses (None: none is free)."""
        lapse: float | None = None
        refusals = self._refusals.get(waiting.id, {})
        for _, _, agent_id in self._free:
            agent = self._agents[agent_id]
            if waiting.need not in agent.needs:
                continue
            until = refusals.get(agent_id)
            if until is None or until <= now:
                return agent, None
            lapse = until if lapse is None else min(lapse, until)
        return None, lapse

    def _offer(self, waiting: Waiting, agent: _Agent, now: float) -> Offer:
        waiting.place, waiting.agent = "offered", agent.id
        agent.offered.add(waiting.id)
        agent.turn = next(self._numbers)
        self._place(agent)
        expires = now + self._offer_s
        self._after(expires, "offer", waiting.id, waiting.stamp)
        return Offer(waiting.id, agent.id, expires)

    def _wake(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            _, _, what, name, stamp = heappop(self._timers)
            if what == "rest":
                agent = self._agents.get(name)
                if agent is not None and agent.rests_until is not None and agent.rests_until <= now:
                    agent.rests_until = None
                    self._place(agent)
                continue
            waiting = self._tasks.get(name)
            if waiting is None or waiting.stamp != stamp:
                continue
            if what == "offer" and waiting.agent is not None:
                self._missed(self._agents[waiting.agent], now)
            self._leave(waiting)
            self._queue(waiting)

    def _wake_parked(self, waiting: Waiting, at: float) -> None:
        waiting.wakes = at
        self._after(at, "park", waiting.id, waiting.stamp)

    def _missed(self, agent: _Agent, now: float) -> None:
        """Nothing came back: ask this agent less often until it claims something."""
        agent.misses = min(agent.misses + 1, _MOST_MISSES)
        agent.rests_until = now + min(self._offer_s * 2**agent.misses, _LONGEST_REST_S)
        self._after(agent.rests_until, "rest", agent.id, 0)

    def _after(self, at: float, what: str, name: str, stamp: int) -> None:
        heappush(self._timers, (at, next(self._numbers), what, name, stamp))

    def _remember(self, task_id: str, agent_id: str, now: float) -> None:
        """Don't ask this agent for this task again for a while; refusals whose while is over are forgotten."""
        refusals = {name: until for name, until in self._refusals.get(task_id, {}).items() if until > now}
        self._refusals[task_id] = {**refusals, agent_id: now + self._refusal_s}

    def _let_go(self, task_id: str) -> str | None:
        """Forget who holds the task; gives the agent."""
        agent_id = self._holders.pop(task_id, None)
        if agent_id is not None:
            left = self._held[agent_id] - 1
            if left:
                self._held[agent_id] = left
            else:
                del self._held[agent_id]
            if (agent := self._agents.get(agent_id)) is not None:
                self._place(agent)
        return agent_id

    def _close(self, task_id: str) -> None:
        """The task isn't open any more."""
        waiting = self._tasks.pop(task_id, None)
        if waiting is not None:
            self._leave(waiting)
            queue = self._queues[waiting.need]
            queue.known -= 1
            self._tidy(waiting.need, queue)

    def _queue(self, waiting: Waiting) -> None:
        for left in self._queues[waiting.need].push(waiting, next(self._numbers)):
            del self._tasks[left.id]
        self._ready.add(waiting.need)

    def _leave(self, waiting: Waiting) -> None:
        """Take a task from where it is; its timers become void."""
        self._queues[waiting.need].leave(waiting)
        waiting.stamp = next(self._numbers)
        agent_id, waiting.agent = waiting.agent, None
        agent = None if agent_id is None else self._agents.get(agent_id)
        if agent is not None:
            agent.offered.discard(waiting.id)
            self._place(agent)

    def _tidy(self, need: Need, queue: Queue) -> None:
        """After a task left: ask for more, or forget a need that nobody has."""
        if queue.hungry:
            self._hungry.add(need)
        if queue.empty:
            del self._queues[need]
            self._ready.discard(need)
            self._hungry.discard(need)

    def _unplace(self, agent: _Agent) -> None:
        if agent.entry is not None:
            del self._free[bisect_left(self._free, agent.entry)]
            agent.entry = None

    def _place(self, agent: _Agent) -> None:
        """Put the agent where it belongs among the free ones; what it can serve is worth a look again."""
        self._unplace(agent)
        busy = self._held.get(agent.id, 0) + len(agent.offered)
        if busy >= agent.slots or agent.rests_until is not None:
            return
        agent.entry = (busy / agent.slots, agent.turn, agent.id)
        insort(self._free, agent.entry)
        for need in agent.needs:
            queue = self._queues.get(need)
            if queue is None:
                continue
            for waiting in list(islice(queue.parked.values(), _LOOK_AHEAD)):
                until = self._refusals.get(waiting.id, {}).get(agent.id)
                if until is None:
                    self._leave(waiting)
                    self._queue(waiting)
                elif until < waiting.wakes:
                    self._wake_parked(waiting, until)
            self._ready.add(need)
