"""Who may speak on a topic: grants of authors and nodes, of live messages and of old ones, searched when unknown.

A message holds by the grants of its own time: its author may have left since, or a short-lived grant may have been
renewed. So the chains of those whose messages are kept are kept with them, and any peer that keeps the messages can
show them. Revocation counts whatever the time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from typing import Any, Final

from bzzzd.daemon.gate import Gate
from bzzzd.daemon.membership.members import Members
from bzzzd.errors import BzzzError, GrantRefused, NotAllowed
from bzzzd.identity.grants import Grant, Trust
from bzzzd.storage.messages.store import MessageStore

# How long a message waits for a grant that no peer has shown, in seconds.
PATIENCE_S: Final = 60.0
_CHAINS: Final = 16_384
_UNKNOWN: Final = 1024
_ASKED: Final = 16


class Unknown(Exception):
    """The grant of ``key`` has not been seen yet; a search for it is worth while."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key = key


class Speakers:
    """``find_chain(peer_id, key)`` asks a member; ``connected`` gives the peer ids of those that can be asked."""

    def __init__(
        self,
        store: MessageStore,
        members: Members,
        gate: Gate,
        *,
        trust: Trust,
        find_chain: Callable[[str, bytes], Awaitable[list[bytes]]],
        connected: Callable[[], Iterable[str]],
        spawn: Callable[..., Any],
    ) -> None:
        self._store = store
        self._members = members
        self._gate = gate
        self._trust = trust
        self._find_chain = find_chain
        self._connected = connected
        self._spawn = spawn
        self._chains: OrderedDict[bytes, tuple[bytes, ...]] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()

    async def load(self) -> None:
        """The chains of an earlier life."""
        for key, chain in await self._store.chains(_CHAINS):
            self._chains[key] = chain
            with suppress(BzzzError):  # ended meanwhile: good for old messages alone
                self._members.admit(chain)

    def chain_of(self, key: bytes) -> tuple[bytes, ...]:
        """For peers that ask: the chain a key was admitted with, now or earlier."""
        return self._members.chain_of(key) or self._chains.get(key, ())

    def may(self, node: bytes, author: bytes, topic: str, at: float) -> bool:
        """Whether ``node`` is a node, and ``author`` might write on ``topic`` at the Unix time ``at``."""
        try:
            carrier, speaker = self._grant(node, at), self._grant(author, at)
            self._gate.check_grant(speaker, f"topic:{topic}", "write")
        except (GrantRefused, NotAllowed):
            return False
        self._remember(node)
        self._remember(author)
        return carrier.kind == "node"

    def _grant(self, key: bytes, at: float) -> Grant:
        try:
            return self._members.grant_of(key)
        except GrantRefused:
            chain = self.chain_of(key)
            if chain:
                return self._trust.admit(chain, now=min(at, time.time()))
            since = self._unknown.setdefault(key, time.monotonic())
            if len(self._unknown) > _UNKNOWN:
                self._unknown.popitem(last=False)
            if time.monotonic() - since < PATIENCE_S:
                raise Unknown(key) from None
            raise

    def _remember(self, key: bytes) -> None:
        chain = self._members.chain_of(key)
        if chain and self._chains.get(key) != chain:
            self._keep(key, chain)

    def _keep(self, key: bytes, chain: tuple[bytes, ...]) -> None:
        self._chains[key] = chain
        self._chains.move_to_end(key)
        while len(self._chains) > _CHAINS:
            self._chains.popitem(last=False)
        self._spawn("topics", "grants", self._write(key, chain), ends=True)

    async def _write(self, key: bytes, chain: tuple[bytes, ...]) -> None:
        with suppress(BzzzError):  # a full disk says so itself; it is asked for again after a restart
            await self._store.add_chain(key, chain, time.time())

    async def search(self, key: bytes, peers: Collection[str]) -> bool:
        """Ask ``peers`` first and then everybody else for the chain of ``key``; whether it was found."""
        others = [peer for peer in self._connected() if peer not in peers]
        for peer_id in [*dict.fromkeys(peers), *others][:_ASKED]:
            try:
                chain = tuple(await self._find_chain(peer_id, key))
                if chain and self._leaf(chain) == key:
                    self._unknown.pop(key, None)
                    return True
            except BzzzError:
                continue  # that one cannot help; the next may
        return False

    def _leaf(self, chain: tuple[bytes, ...]) -> bytes:
        """Admit a chain that a peer showed: now, or for the time when its leaf was made."""
        try:
            return self._members.admit(chain).key
        except GrantRefused:
            found = self._trust.admit(chain, now=self._trust.read_leaf(chain).not_before)
            self._keep(found.key, chain)
            return found.key
