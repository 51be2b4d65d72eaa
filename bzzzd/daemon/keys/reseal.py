"""Encrypting again: after an epoch begins, what is live here is encrypted for its keys, bit by bit.

What a removed member knew opens nothing of it any more. By default the latest versions of every address
are done, briefs of open tasks among them; what this node has no secret for stays as it is, for the nodes
that have one. The work is slow on purpose and goes on after a restart where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import structlog

from bzzzd.errors import BzzzError, NotAllowed, NotFound
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.services import Health
from bzzzd.storage.versions.reseal import Resealing
from bzzzd.storage.versions.rolekeys import RoleKeys

_PAGE: Final = 500
# Readers that found the old file's name just before get this long to read it.
_LINGER_S: Final = 30.0


class Resealer:
    """``which`` is ``heads``, ``all`` or ``none``; ``per_s`` bounds the versions that are encrypted a second."""

    name = "reseal"
    depends = ("store",)

    def __init__(
        self,
        content: Resealing,
        rolekeys: RoleKeys,
        events: Stream,
        *,
        which: Literal["heads", "all", "none"],
        per_s: float,
        spawn: Callable[..., Any],
    ) -> None:
        self._content = content
        self._rolekeys = rolekeys
        self._events = events
        self._which = which
        self._pause_s = 1.0 / per_s
        self._spawn = spawn
        self._wake = asyncio.Event()
        self.done = 0
        """Versions encrypted again since the start."""
        self.kept = 0
        """Versions that the last look through left as they are, because no secret here opens them."""
        self.busy = True

    async def start(self) -> None:
        if self._which != "none":
            self._spawn(self.name, "encrypting", self._work())

    async def stop(self) -> None:
        """Nothing is held open."""

    def health(self) -> Health:
        if self._which == "none":
            return Health(detail="content stays in the epoch that it was written in (storage.reencrypt)")
        state = "encrypting again for" if self.busy else "all that can be read here is in"
        kept = f"; {self.kept} versions that this node cannot read stay as they are" if self.kept else ""
        return Health(detail=f"{state} epoch {self._rolekeys.current}{kept}")

    def changed(self) -> None:
        """Another epoch is in force, or this node holds more secrets."""
        self._wake.set()

    async def _work(self) -> None:
        while True:
            self._wake.clear()
            self.busy = True
            before = self.done
            await self._look_through()
            self.busy = False
            if self.done > before:
                self._events.append(
                    {
                        "source": "keys", "kind": "encrypted_again", "peer_id": "",
                        "detail": f"{self.done - before} versions are encrypted for epoch {self._rolekeys.current} now",
                    }
                )  # fmt: skip
            await self._wake.wait()

    async def _look_through(self) -> None:
        """Once over all versions here; a change on the way begins it again."""
        after: bytes | None = b""
        self.kept = 0
        assert self._which != "none"
        while after is not None and not self._wake.is_set():
            if not self._rolekeys.tag:
                return
            found = await self._content.stale(self._which, after, _PAGE)
            for id in found.ids:
                if self._wake.is_set():
                    return
                await self._one(id)
            after = found.next

    async def _one(self, id: str) -> None:
        try:
            old = await self._content.again(id)
        except NotAllowed:
            self.kept += 1
        except NotFound:
            return
        except BzzzError as error:  # damaged content is found here first; it is no reason to leave the rest
            self.kept += 1
            structlog.get_logger().warning("a version was not encrypted again", version_id=id, why=error)
        else:
            if old is not None:
                self.done += 1
                if old.data is None:
                    asyncio.get_running_loop().call_later(_LINGER_S, self._discard, partial(self._content.drop, old))
            await asyncio.sleep(self._pause_s)

    def _discard(self, drop: Callable[[], Any]) -> None:
        self._spawn(self.name, "removing an old file", drop(), ends=True)
