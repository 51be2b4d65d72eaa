"""A person at ``bzzz-hap --headless``, who opens, reads and answers what needs them.

The portal is killed and started again like the other processes. What lay in its outbox then must arrive, or
be refused visibly. A file that comes back, as after a loss of power, is an answer that is given twice.
"""

from __future__ import annotations

import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from bzzzd.crypto.keys import write_private
from bzzzd.hap.files.outbox import Letter, Outbox
from tests.integration.conftest import LIMIT_S, Node, Program, wait_for

_BUSY_S = 2.0
"""So long it is waited for somebody to ask."""
_ANSWER_S = 0.03
"""About the time from an answer's line to its receipt."""
_STUCK_S = 3.0
"""So long a question may stay unread before another is opened: whoever holds its text may be away."""


class Portal:
    """``deny`` says of a task whether its question is answered no.

    ``inbox`` is what the portal shows as needing the person, its kinds by id; ``said`` the choice by prompt;
    ``letters`` what was seen in the outbox after a kill; ``done`` and ``refused`` the answers' ids that it told of.
    """

    def __init__(self, node: Node, deny: Callable[[str], bool], seed: int) -> None:
        self._node = node
        self._deny = deny
        self._random = random.Random(seed)
        self._folder = node.person_state / "portal" / "outbox"
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._typed = threading.Event()
        self._opened, self._since = "", 0.0
        self._last: dict[str, float] = {}
        self.inbox: dict[str, str] = {}
        self.said: dict[str, str] = {}
        self.letters: dict[str, Letter] = {}
        self.done: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.came_back = 0
        self._start()

    def _start(self) -> None:
        self.inbox, self._opened = {}, ""
        config = str(self._node.folder / "hap.yaml")
        self._program = self._node.run(
            "bzzz-hap", "--headless", "--config", config, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._reader = threading.Thread(target=self._listen, args=(self._program,), name="portal", daemon=True)
        self._reader.start()

    def kill(self) -> None:
        """Kill it, look at what it leaves, and start it again; now and then with an old answer in its outbox.

        Every other time it happens while an answer is on its way, which takes some milliseconds.
        """
        self._typed.clear()
        if self._random.random() < 0.5 and self._typed.wait(_BUSY_S):
            time.sleep(self._random.uniform(0, _ANSWER_S))  # the moment is what is random
        self._program.kill()
        self._over()
        gone = sorted(self._files.keys() - {path.name for path in self._folder.glob("*.answer")})
        for path in self._folder.glob("*.answer"):
            self._files[path.name] = path.read_bytes()
        self.letters |= {letter.id: letter for letter in Outbox(self._folder).letters()}
        if gone:
            name = self._random.choice(gone)
            write_private(self._folder / name, self._files[name])
            self.came_back += 1
        self._start()

    def close(self) -> None:
        self._program.stop()
        self._over()

    def _over(self) -> None:
        self._reader.join(LIMIT_S)
        process = self._program.process
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):  # what was not taken any more
                pipe.close()

    def settled(self) -> list[str]:
        """Wait until nothing is on its way; gives what is amiss with the outbox."""
        wait_for("the outbox to be empty", lambda: not list(self._folder.glob("*.answer")), 2 * LIMIT_S)
        return [f"{path.name} was damaged" for path in self._folder.glob("*.damaged")]

    def shows(self, ids: set[str]) -> None:
        """Wait until the inbox has all of these."""
        wait_for("the inbox to show what is unknown", lambda: ids <= self.inbox.keys())

    def nudge(self) -> None:
        """Called again and again: what was opened and could not be read is left for another."""
        with self._lock:
            if time.monotonic() - self._since > _STUCK_S:
                self._open_next()

    # One process

    def _listen(self, program: Program) -> None:
        """Until the process ends: take its lines, and answer."""
        out: IO[bytes] | None = program.process.stdout
        assert out is not None
        for line in out:
            if line.endswith(b"\n"):  # the last one may be cut
                with self._lock:
                    self._hear(json.loads(line))

    def _hear(self, line: Mapping[str, Any]) -> None:
        match line["type"]:
            case "needs":
                self.inbox = {need["id"]: need["kind"] for need in line["needs"]}
                if not self._opened:
                    self._open_next()
            case "question" if line["question"]["id"] == self._opened:
                if line["question"]["readable"] and not line["question"]["fault"]:
                    self._answer(line["question"])
            case "handled" if line["action"] in ("answer", "deny"):
                self._open_next()
            case "error":
                self._open_next()
            case "receipt":
                self._receipt(line["receipt"])

    def _receipt(self, receipt: Mapping[str, Any]) -> None:
        if receipt["state"] == "done" and receipt["command"]:
            self.done[receipt["command"]] = receipt["prompt"]
        elif receipt["state"] == "refused":
            self.refused[receipt["command"]] = receipt["why"]

    def _open_next(self) -> None:
        """The question that was not opened for longest."""
        asking = [id for id, kind in self.inbox.items() if kind == "prompt"]
        self._opened, self._since = min(asking, key=lambda id: self._last.get(id, 0.0), default=""), time.monotonic()
        if self._opened:
            self._last[self._opened] = self._since
            self._type(action="open", prompt=self._opened)

    def _answer(self, question: Mapping[str, Any]) -> None:
        choice = "deny" if self._deny(question["task"]) else "approve"
        self.said[question["id"]] = choice
        named = {"prompt": question["id"], "digest": question["digest"], "now": True}
        self._since = time.monotonic()
        if choice == "deny":
            self._type(action="deny", **named)
        else:
            self._type(action="answer", choice=choice, word=question["op"], **named)
        self._typed.set()

    def _type(self, **line: Any) -> None:
        into = self._program.process.stdin
        assert into is not None
        with suppress(BrokenPipeError):  # killed
            into.write(json.dumps(line).encode() + b"\n")
            into.flush()
