"""Prompts in a storm: portal, two daemons and an agent are killed at random moments while people are asked.

The agent's handler writes a line to a file for each action that it does, which is the witness. The person answers
at a real portal (``portal.py``). At the end every prompt is accounted for: done at most once, never without a valid
answer, and what was cut between beginning and result is ``unknown`` and in the portal's inbox; every answer that the
portal had taken was counted once, or refused visibly.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bzzzd.errors import BzzzError
from tests.integration.conftest import Node, Program
from tests.integration.portal import Portal
from tests.integration.sessions import FINAL, Session

CAPABILITY = "witness"
_LOOK_S = 0.05


@dataclass
class Storm:
    """What happened. ``done`` counts the lines of the witness by task; ``faults`` is what must be empty.

    ``taken`` answers were in the portal's outbox when it was killed; ``came_back`` were sent again after their receipt.
    """

    asked: int = 0
    states: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    taken: int = 0
    came_back: int = 0
    faults: list[str] = field(default_factory=list)


class Clerk:
    """Submits tasks from one node and looks at them, in the name of the person."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.session: Session | None = None

    def close(self) -> None:
        if self.session is not None:
            with suppress(OSError, BzzzError):
                self.session.__exit__(None, None, None)
            self.session = None

    def call(self, method: str, **params: Any) -> Any:
        """``None`` while the daemon is away."""
        try:
            if self.session is None:
                self.session = self._node.person().__enter__()
            return self.session.call(method, **params)
        except (BzzzError, OSError) as error:
            if isinstance(error, BzzzError) and error.exit_status in (2, 3, 4):
                raise
            self.close()
            return None


class Victims:
    """What is killed, and started again at once: portal, the person's daemon, the agent's daemon, the agent.

    Each has its turn within ``len(TURNS)`` kills, in an order that is drawn anew.
    """

    TURNS = ("agent", "agent", "portal", "portal", "n1", "n2")

    def __init__(self, one: Node, two: Node, agent: Callable[[], Program], portal: Portal, seed: int) -> None:
        self._one, self._two, self._start_agent, self._portal = one, two, agent, portal
        self._random = random.Random(seed)
        self._turns: list[str] = []
        self.kills: Counter[str] = Counter()
        self.agent = agent()

    def strike(self) -> None:
        if not self._turns:
            self._turns = self._random.sample(self.TURNS, len(self.TURNS))
        which = self._turns.pop()
        self.kills[which] += 1
        if which == "agent":
            self.agent.kill()
            self.agent = self._start_agent()
            return
        if which == "portal":
            self._portal.kill()
            return
        node = self._one if which == "n1" else self._two
        assert node.daemon is not None
        node.daemon.kill()
        node.start(ready=False)

    def next_in(self, mean_s: float) -> float:
        return time.monotonic() + self._random.expovariate(1 / mean_s)

    def mend(self) -> None:
        """Everything runs again."""
        if not self.agent.running:
            self.agent = self._start_agent()
        for node in (self._one, self._two):
            if node.daemon is None or not node.daemon.running:
                node.start(ready=False)
            node.wait_ready()


def storm(
    one: Node, two: Node, agent: Callable[[], Program], witness: Path, *, count: int, at_once: int, every_s: float,
    limit_s: float, seed: int = 1, least_kills: int = 0,
) -> Storm:  # fmt: skip
    """Run ``count`` tasks that need approval from ``one``, whose agent works on ``two``; a kill about ``every_s``.

    Where that many are done before ``least_kills``, as on a quick machine, it goes on with more of them.
    """
    found, began = Storm(), time.monotonic()
    denied = lambda task: int.from_bytes(task.encode()[-2:], "big") % 10 == 0  # noqa: E731
    clerk, portal = Clerk(one), Portal(one, denied, seed)
    victims = Victims(one, two, agent, portal, seed)
    pending: dict[str, dict[str, Any]] = {}
    tasks: dict[str, str] = {}
    strike_at = victims.next_in(every_s)
    try:
        while time.monotonic() - began < limit_s:
            live = sum(state not in FINAL for state in tasks.values())
            if clerk.call("status") is not None and clerk.session is not None:
                while live < at_once and (len(tasks) < count or sum(victims.kills.values()) < least_kills):
                    task, params = clerk.session.brief("do it once", capability=CAPABILITY, approve=True)
                    pending[task], tasks[task] = params, "submitted"
                    live += 1
            for task, params in list(pending.items()):
                if clerk.call("task.submit", **params) is not None:
                    del pending[task]
            portal.nudge()
            for task in [task for task, state in tasks.items() if state not in FINAL and task not in pending]:
                with suppress(BzzzError):
                    shown = clerk.call("task.show", id=task)
                    if shown is not None:
                        tasks[task] = shown["task"]["state"]
            enough = len(tasks) >= count and sum(victims.kills.values()) >= least_kills
            if enough and all(state in FINAL for state in tasks.values()):
                break
            if time.monotonic() >= strike_at:
                victims.strike()
                strike_at = victims.next_in(every_s)
            time.sleep(_LOOK_S)
        victims.mend()
        found.seconds, found.kills = time.monotonic() - began, victims.kills
        found.faults += portal.settled()
        prompts = _account(found, one, tasks, witness, denied)
        found.taken, found.came_back = len(portal.letters), portal.came_back
        found.faults += _of_answers(portal, {row["id"]: row for row in prompts}, one.person_id)
        portal.shows({row["id"] for row in prompts if row["state"] == "unknown"})
    finally:
        clerk.close()
        portal.close()
        victims.agent.kill()
    return found


def _account(
    found: Storm, node: Node, tasks: dict[str, str], witness: Path, denied: Callable[[str], bool]
) -> list[Any]:
    """Count what became of the prompts and the tasks; gives the ledger's prompts."""
    lines = witness.read_text().split() if witness.exists() else []
    by_prompt = Counter(lines)
    with node.person() as session:
        prompts: list[Any] = []
        after = None
        while True:
            page = session.call("prompt.list", limit=500, after=after)
            prompts += page["prompts"]
            after = page["next"]
            if after is None:
                break
        listed = {row["id"] for row in session.call("prompt.list", for_me=True, limit=1000)["prompts"]}
    found.asked = len(prompts)
    begun: Counter[str] = Counter()
    for row in prompts:
        found.states[row["state"]] += 1
        if row["state"] in ("claimed", "executed", "failed", "unknown"):
            begun[row["task"]] += 1
            if row["verdict"] != "approve" or not row["answers"]:
                found.faults.append(f"{row['id']} was begun without an approval")
        if row["state"] == "unknown" and row["id"] not in listed:
            found.faults.append(f"{row['id']} is unknown and not in the inbox")
        if row["state"] == "executed" and by_prompt[row["task"]] < 1:
            found.faults.append(f"{row['id']} is executed and nothing was done")
        if row["state"] in ("open", "seen", "claimed"):
            found.faults.append(f"{row['id']} was lost: {row['state']}")
    found.done = by_prompt
    for task, times in by_prompt.items():
        if times > begun[task]:
            found.faults.append(f"task {task} was done {times} times and begun {begun[task]} times")
        if denied(task):
            found.faults.append(f"task {task} was denied and done")
    found.faults += [f"task {task} is {state}" for task, state in tasks.items() if state not in FINAL]
    return prompts


def _of_answers(portal: Portal, prompts: Mapping[str, Any], person: str) -> Iterator[str]:
    """What is amiss with the person's answers: one that got lost, counts twice, or that nobody gave."""
    said = {
        id: [answer["choice"] for answer in row["answers"] if answer["by"] == person] for id, row in prompts.items()
    }
    for id, choices in said.items():
        if len(choices) > 1 or len(prompts[id]["answers"]) != len(choices):
            yield f"{id} has the answers {prompts[id]['answers']}"
        if choices and choices != [portal.said.get(id)]:
            yield f"{id} counts {choices}, and the person said {portal.said.get(id)}"
    for id, prompt in portal.done.items():
        if not said.get(prompt):
            yield f"answer {id} to {prompt} had a receipt and is gone"
    for letter in portal.letters.values():
        if said.get(letter.prompt) != [letter.choice] and letter.id not in portal.refused:
            yield f"answer {letter.id} to {letter.prompt} was in the outbox and is lost"


def serve(config: str, witness: str, pause_s: float) -> int:
    """An agent whose handler writes its task's id to ``witness``, durably, and takes its time over it."""
    import asyncio
    from functools import partial

    from bzzzd.agent.handlers.base import Job, Product
    from bzzzd.agent.main import serve as run_agent
    from bzzzd.config.load import load
    from bzzzd.runtime.process import run

    class Witness:
        general = False
        unusable = ""
        act = "external"

        def action(self, job: Job) -> dict[str, Any]:
            return {"what": "write a line"}

        async def run(self, job: Job) -> Product:
            file = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(file, f"{job.task['id']}\n".encode())
                os.fsync(file)
            finally:
                os.close(file)
            await asyncio.sleep(pause_s)
            return Product(b"done")

    return run("storm-agent", partial(run_agent, load("agent", config), handlers={CAPABILITY: Witness()}))


if __name__ == "__main__":
    import sys

    sys.exit(serve(sys.argv[1], sys.argv[2], float(sys.argv[3])))
