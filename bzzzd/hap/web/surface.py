"""The browsers as a surface: what changes becomes numbered lines, what they ask becomes actions of the model.

The lines are those of ``--headless`` (``headless.py``), so that both front ends speak one language.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from bzzzd.errors import BadInput
from bzzzd.hap.core import Core
from bzzzd.hap.lines import headless
from bzzzd.hap.messages import Message, Tick
from bzzzd.hap.values.model import Link, Model
from bzzzd.hap.web.ring import Ring

# What a browser may ask for. The rest moves a window that it does not have, or would let it name files of the machine.
ALLOWED = frozenset(
    {
        "inbox", "tasks", "threads", "context", "refresh", "open", "back", "submit", "cancel", "retry", "undo",
        "earlier", "later", "conversation", "reference", "look", "contents", "versions", "provenance", "compare",
        "compare-earlier", "compare-later", "answer", "deny",
    }
)  # fmt: skip
_ANSWERS = frozenset({"answer", "deny"})


def _names_its_question(body: bytes) -> bool:
    """Whether an answer says what it is for; ``headless.read`` has compared it with what is open."""
    given = msgspec.json.decode(body)
    return isinstance(given.get("prompt"), str) and isinstance(given.get("digest"), str)


class WebSurface:
    """Tells every reader of the ring when there is more. Used in the loop alone."""

    def __init__(self, core: Core) -> None:
        self.ring = Ring(os.urandom(6).hex())
        self._core = core
        self._waiting: set[asyncio.Event] = set()

    def changed(self, old: Model, new: Model, message: Message) -> None:
        if new is old:
            return
        found = headless.lines(old, new, message)
        for line in found:
            self.ring.append(headless.encode(line).rstrip())
        if found:
            self.wake()

    def wake(self) -> None:
        """Have every reader look, because there is more, or because it may have to end."""
        for event in self._waiting:
            event.set()

    def redraw(self) -> None:
        """A browser draws by itself."""

    def suspend(self) -> None:
        """A service has no shell to go back to."""

    def copy(self, text: str) -> None:
        """A browser copies by itself."""

    def edit(self, path: Path, text: str) -> None:
        """A service has no terminal that an editor could have."""

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set when there is more to read."""
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)

    @property
    def readers(self) -> int:
        return len(self._waiting)

    def whole(self) -> list[bytes]:
        """Everything that there is to know now, as lines: what changes an empty portal into this one."""
        model = self._core.model
        empty = Model(now=model.now, run=model.run, registry=model.registry)
        empty = replace(empty, link=Link(state="connecting", why="unknown"))  # so that the link is always told
        return [headless.encode(line).rstrip() for line in headless.lines(empty, model, Tick(model.now))]

    def act(self, body: bytes) -> dict[str, Any]:
        """Perform the action that a request asks for; raises ``BadInput``."""
        act, re = headless.read(body, self._core.model)
        if act.action not in ALLOWED:
            raise BadInput(f"{act.action} is for the terminal; the browser has its own")
        if act.action in _ANSWERS and not _names_its_question(body):
            raise BadInput("an answer names its prompt, and the digest of the text that was read")
        before = self._core.model
        self._core.send(act)
        return headless.begun(before, self._core.model, act, re)
