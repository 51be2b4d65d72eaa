"""Prompts in a storm: two daemons and an agent are killed at random moments while people are asked and things are done.

The agent's handler writes a line to a file for each action that it does, which is the witness. At the end
every prompt is accounted for: done at most once, never without a valid answer, and what was cut between
beginning and result is ``unknown`` and listed.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bzzzd.errors import BzzzError
from bzzzd.slurp.asking import answer_params
from tests.integration.conftest import Node, Program
from tests.integration.sessions import FINAL, Session

CAPABILITY = "witness"
_LOOK_S = 0.05


@dataclass
class Storm:
    """What happened. ``done`` counts the lines of the witness by task; ``faults`` is what must be empty."""

    asked: int = 0
    states: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Person:
    """A scripted person on one node: answers whatever asks, again with the same bytes until there is a receipt."""

    def __init__(self, node: Node, deny: Callable[[str], bool]) -> None:
        self._node = node
        self._deny = deny
        self._session: Session | None = None
        self._outbox: dict[str, dict[str, Any]] = {}
        self.said: dict[str, str] = {}
        self.receipts: set[str] = set()

    def close(self) -> None:
        if self._session is not None:
            with suppress(OSError, BzzzError):
                self._session.__exit__(None, None, None)
            self._session = None

    def call(self, method: str, **params: Any) -> Any:
        """``None`` while the daemon is away."""
        try:
            if self._session is None:
                self._session = self._node.person().__enter__()
            return self._session.call(method, **params)
        except (BzzzError, OSError) as error:
            if isinstance(error, BzzzError) and error.exit_status in (2, 3, 4):
                raise
            self.close()
            return None

    def look(self) -> None:
        """Answer what is new, and send again what has no receipt."""
        found = self.call("prompt.list", for_me=True, limit=200)
        for row in (found or {}).get("prompts", ()):
            if row["id"] not in self.said and row["state"] in ("open", "seen") and self._session is not None:
                choice = "deny" if self._deny(row["task"]) else "approve"
                self.said[row["id"]] = choice
                self._outbox[row["id"]] = answer_params(
                    self._session.writer(), prompt=row["id"], task=row["task"], digest=row["digest"], choice=choice,
                    at=time.time(),
                )  # fmt: skip
        for id, params in list(self._outbox.items()):
            try:
                answer = self.call("prompt.answer", **params)
            except BzzzError as error:
                if error.code not in ("PROMPT_ANSWERED", "FINAL_STATE", "NOT_FOUND", "PROMPT_EXPIRED"):
                    raise
                del self._outbox[id]
                continue
            if answer is not None and answer["receipt"]["state"] == "entered":
                del self._outbox[id]
                self.receipts.add(id)


class Victims:
    """What is killed, and started again at once: the agent's daemon, the person's daemon, the agent."""

    def __init__(self, one: Node, two: Node, agent: Callable[[], Program], seed: int) -> None:
        self._one, self._two, self._start_agent = one, two, agent
        self._random = random.Random(seed)
        self.kills: Counter[str] = Counter()
        self.agent = agent()

    def strike(self) -> None:
        which = self._random.choice(("agent", "agent", "n1", "n2"))
        self.kills[which] += 1
        if which == "agent":
            self.agent.kill()
            self.agent = self._start_agent()
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
    victims, person = Victims(one, two, agent, seed), Person(one, denied)
    pending: dict[str, dict[str, Any]] = {}
    tasks: dict[str, str] = {}
    strike_at = victims.next_in(every_s)
    try:
        while time.monotonic() - began < limit_s:
            live = sum(state not in FINAL for state in tasks.values())
            if person.call("status") is not None and person._session is not None:
                while live < at_once and (len(tasks) < count or sum(victims.kills.values()) < least_kills):
                    task, params = person._session.brief("do it once", capability=CAPABILITY, approve=True)
                    pending[task], tasks[task] = params, "submitted"
                    live += 1
            for task, params in list(pending.items()):
                if person.call("task.submit", **params) is not None:
                    del pending[task]
            person.look()
            for task in [task for task, state in tasks.items() if state not in FINAL and task not in pending]:
                with suppress(BzzzError):
                    shown = person.call("task.show", id=task)
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
        _account(found, one, person, tasks, witness, denied)
    finally:
        person.close()
        victims.agent.kill()
    return found


def _account(
    found: Storm, node: Node, person: Person, tasks: dict[str, str], witness: Path, denied: Callable[[str], bool]
) -> None:
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
    known = {row["id"] for row in prompts}
    found.faults += [f"{id} had a receipt and is gone" for id in person.receipts - known]
    found.done = by_prompt
    for task, times in by_prompt.items():
        if times > begun[task]:
            found.faults.append(f"task {task} was done {times} times and begun {begun[task]} times")
        if denied(task):
            found.faults.append(f"task {task} was denied and done")
    found.faults += [f"task {task} is {state}" for task, state in tasks.items() if state not in FINAL]


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
