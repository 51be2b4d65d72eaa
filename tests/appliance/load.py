"""A stream of tasks while machines are stopped, upgraded or lose their power; what must be true of it afterwards."""

from __future__ import annotations

import threading
from typing import Self

from nodelab.shell import LabError

from tests.appliance.conftest import FINAL, Box, wait_for

RUNS = """binary_type: agent
agent: {role: worker, slots: 1, handlers: [{kind: command, capability: run}]}
ai: {provider: none}
network: {socket: /run/bzzz/bzzzd.sock}
security: {}
"""
_PAUSE_S = 0.5


class Stream:
    """Submits one task after the other, each on the next machine that takes it, until the end of its ``with``.

    ``given`` has what was acknowledged, as id and number. A submit that is not acknowledged may have been done all
    the same: it is not given, and nothing is asked of it but that it, too, is not done twice.
    """

    def __init__(self, *boxes: Box, users: tuple[str, ...] = ("alice",)) -> None:
        self.given: dict[str, int] = {}
        self._doors = list(zip(boxes, users, strict=True))
        self._number = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stream of tasks")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(_PAUSE_S):
            self._number += 1
            box, user = self._doors[self._number % len(self._doors)]
            try:
                id = box.submit(f"number {self._number}", "run", "echo", f"did {self._number}", user=user)
            except (LabError, ValueError):  # the machine is down, or went down under the command
                continue
            self.given[id] = self._number

    def check(self, box: Box, user: str = "alice") -> None:
        """Everything that was acknowledged is completed, each once, with one decision; nothing else was done twice."""
        wait_for("every task to end", lambda: all(t["state"] in FINAL for t in box.tasks(user).values()), 240)
        tasks = box.tasks(user)
        assert set(self.given) <= set(tasks)
        assert {tasks[id]["state"] for id in self.given} == {"completed"}
        for id, task in tasks.items():
            steps = [step["what"] for step in box.bzzz("task", "trace", id, user=user)["steps"]]
            assert steps.count("completed") <= 1, (id, steps)
            if id in self.given:
                # The decision of another machine's agent may arrive after the ledger's word.
                asked = ("context", "history", task["address"])
                versions = wait_for(
                    f"the decision of {id}", lambda asked=asked: box.bzzz(*asked, user=user)["versions"]
                )
                assert len(versions) == 1
                said = wait_for(
                    f"the words of {id}", lambda asked=asked: box.run("bzzz", "context", "get", asked[2], user=user)
                )
                assert f"did {self.given[id]}" in said
