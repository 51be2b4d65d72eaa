"""The charter as this node holds it: durable, in force, watched, and the time that nothing falls behind.

    STATE/charter/KIND-DIGEST.paper   each document held, with its signer's chain
    STATE/charter/clock               the newest signed time seen, and when revocations were last confirmed

A document is durable before it is in force, and in force before anybody is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bzzzd.crypto.keys import read_private, write_private
from bzzzd.errors import UNREADABLE, BzzzError, Conflict, InvalidEnvelope, NotFound, Unavailable
from bzzzd.identity.charter import (
    CHARTER_KINDS,
    DOCUMENT_LIMIT,
    Book,
    CharterKind,
    Check,
    Document,
    Paper,
    open_document,
)
from bzzzd.identity.grants import CLOCK_TOLERANCE_S, Trust

_PAPER_LIMIT: Final = 2 * DOCUMENT_LIMIT
_NOTE_EVERY_S: Final = 60.0
Watcher = Callable[[Document], None]
Spread = Callable[[Paper], None]


class _Clock(Struct, frozen=True):
    """Unix seconds; ``confirmed`` is 0 where no member has confirmed the revocations yet."""

    newest: float = 0.0
    confirmed: float = 0.0


_PAPER: Final = msgspec.msgpack.Decoder(Paper)
_CLOCK: Final = msgspec.msgpack.Decoder(_Clock)


class Charter:
    """``chain_of(key)`` gives the grant of an administrator that this node knows.

    ``alone()`` says that no other node belongs to the mesh; ``max_age_s`` is how long the list of revocations
    may go unconfirmed. ``boot`` is a clock in seconds that nobody sets.
    """

    def __init__(
        self,
        folder: Path,
        trust: Trust,
        *,
        max_age_s: float,
        clock: Callable[[], float] = time.time,
        boot: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
        chain_of: Callable[[bytes], Sequence[bytes]] = lambda key: (),
        alone: Callable[[], bool] = lambda: False,
    ) -> None:
        self._folder = folder
        self._trust = trust
        self._max_age_s = max_age_s
        self._clock = clock
        self._boot = boot
        self._chain_of = chain_of
        self._alone = alone
        self._book = Book(trust)
        self._watchers: dict[CharterKind, list[Watcher]] = {kind: [] for kind in CHARTER_KINDS}
        self._spread: list[Spread] = []
        self._lock = asyncio.Lock()
        self._newest = 0.0
        self._confirmed: float | None = None
        self._noted = 0.0

    # What holds.

    def current(self, kind: CharterKind) -> Document | None:
        """The document in force."""
        return self._book.current(kind)

    def heads(self) -> dict[CharterKind, tuple[int, bytes]]:
        """Number and digest of each document in force."""
        found = {kind: self._book.current(kind) for kind in CHARTER_KINDS}
        return {kind: (document.number, document.digest) for kind, document in found.items() if document is not None}

    def papers(self) -> list[Paper]:
        return self._book.papers()

    def digests(self) -> frozenset[bytes]:
        return self._book.digests()

    def check_with(self, kind: CharterKind, check: Check) -> None:
        """Refuse documents of ``kind`` for which ``check`` raises; set before ``load``."""
        self._book.check_with(kind, check)

    def watch(self, kind: CharterKind, callback: Watcher) -> None:
        """Have ``callback(document)`` called on the loop after another document of ``kind`` came into force."""
        self._watchers[kind].append(callback)

    def spread_by(self, spread: Spread) -> None:
        """Have ``spread(paper)`` called on the loop for each paper that is new here."""
        self._spread.append(spread)

    # Documents come.

    def load(self) -> None:
        """Read what is kept; blocking. Papers of another mesh, or that no longer count, are taken away."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        clock = self._read_clock()
        self._newest = clock.newest
        age = self.now() - clock.confirmed
        # A clock that stands before the last confirmation says nothing about how long ago that was.
        self._confirmed = self._boot() - age if clock.confirmed and age >= 0 else None
        for path in sorted(self._folder.glob("*.paper")):
            try:
                self._book.take(_PAPER.decode(read_private(path, _PAPER_LIMIT)))
            except (BzzzError, *UNREADABLE):
                path.unlink()
        self._in_force()

    def enter(self, paper: Paper) -> Document:
        """Take a paper while the loop does not run yet; blocking."""
        document = self._book.read(paper)
        self._write(document, paper)
        self._book.take(paper)
        self._in_force()
        return document

    async def put(self, raw: bytes, chain: Sequence[bytes] = ()) -> Document:
        """Verify a document, keep it durably, put it in force and spread it; the same one twice is no fault.

        Without ``chain`` the signer's grant is looked up here. Raises ``InvalidEnvelope``, ``GrantRefused``, and
        ``Conflict`` (with the ``number`` in force) when a document that stands before it is in force.
        """
        document = open_document(raw, self._trust.mesh_id)
        if not chain and document.author != self._trust.authority:
            chain = self._chain_of(document.author)
        paper = Paper(raw, tuple(chain))
        self._book.read(paper)
        ahead = document.at - self.now()
        if ahead > CLOCK_TOLERANCE_S:
            raise InvalidEnvelope(
                f"this {document.kind} document is dated {ahead:.0f} s ahead of this node's time; compare "
                "the clocks of both machines (timedatectl), then sign it again",
                ahead_s=ahead,
            )
        async with self._lock:
            standing = self.current(document.kind)
            if standing is not None and standing.digest != document.digest and standing.rank < document.rank:
                raise Conflict(
                    f"{document.kind} number {document.number} is not newer than number {standing.number}, which is in "
                    "force; look at that one, then sign yours with a higher number",
                    number=standing.number,
                )
            await self._take(document, paper, spread=True)
        return document

    async def learn(
        self, papers: Iterable[Paper], *, spread: bool = True, invalid: Callable[[], None] = lambda: None
    ) -> list[str]:
        """Take what other members hold; what does not hold is left out, and the reasons are given.

        ``spread`` tells others of what is new; what all were told already needs no telling. ``invalid`` is called
        for each paper that is damaged or forged.
        """
        reasons: list[str] = []
        for paper in papers:
            async with self._lock:
                try:
                    document = self._book.read(paper)
                    # What is taken back is taken back, whatever a clock says.
                    if self._ahead(document) and document.kind != "revocations":
                        reasons.append(
                            f"{document.kind} number {document.number} is dated {document.at - self.now():.0f} s "
                            "ahead of this node's time; compare the clocks (timedatectl)"
                        )
                    elif self._book.wants(document):
                        await self._take(document, paper, spread=spread)
                except BzzzError as error:
                    reasons.append(error.message)
                    if isinstance(error, InvalidEnvelope):
                        invalid()
        return reasons

    def _ahead(self, document: Document) -> bool:
        """Whether a document is dated ahead of this node's time, and that is the document's fault.

        A clock behind the newest signed time is known to be wrong, and then it is the clock's.
        """
        behind = self._clock() < self._newest - CLOCK_TOLERANCE_S
        return document.at > self.now() + CLOCK_TOLERANCE_S and not behind

    async def _take(self, document: Document, paper: Paper, *, spread: bool) -> None:
        new = not self._book.holds(document.digest)
        if new:
            await asyncio.to_thread(self._write, document, paper)
        changed = self._book.take(paper)
        self._in_force()
        # In the same breath: nobody sees a number whose rules are not in force yet.
        for kind in CHARTER_KINDS:
            standing = self.current(kind)
            if kind in changed and standing is not None:
                for callback in self._watchers[kind]:
                    callback(standing)
        if not self._ahead(document):
            await self.saw(document.at)
        await asyncio.to_thread(self._tidy)
        if new and spread and self._book.holds(document.digest):
            for tell in self._spread:
                tell(paper)

    def _in_force(self) -> None:
        self._trust.revocations = self._book.revocations

    # Time.

    def now(self) -> float:
        """Unix time in seconds, never earlier than the newest time that the mesh's administration has signed."""
        return max(self._clock(), self._newest)

    async def saw(self, at: float) -> None:
        """Note a time that the authority or an administrator has signed; durable when this returns."""
        if at > self._newest:
            self._newest = at
            await asyncio.to_thread(self._write_clock)

    def fresh(self) -> bool:
        """Whether the revocations known here may be relied on: a member has confirmed them lately, or there is none."""
        if self._alone():  # whoever is alone knows best, and its time counts from when others come
            self._confirmed = self._boot()
            return True
        return self._confirmed is not None and self._boot() - self._confirmed <= self._max_age_s

    def check_fresh(self, what: str) -> None:
        """Refuse a high-risk action while nobody has confirmed for too long who was revoked; ``Unavailable``."""
        if not self.fresh():
            raise Unavailable(
                f"{what} is refused: no other node has confirmed the list of revocations for more than "
                f"{self._max_age_s:g} s (security.revocation_max_age_s); connect this node to the mesh (bzzz peers), "
                "or revoke the nodes that are gone for good (bzzz mesh revoke ID)"
            )

    async def confirmed(self) -> None:
        """A member holds nothing that this node lacks: what is revoked here is what is revoked."""
        self._confirmed = self._boot()
        if self._boot() - self._noted > _NOTE_EVERY_S:
            self._noted = self._boot()
            await asyncio.to_thread(self._write_clock)

    # Disk.

    def _path(self, kind: str, digest: bytes) -> Path:
        return self._folder / f"{kind}-{digest.hex()}.paper"

    def _write(self, document: Document, paper: Paper) -> None:
        write_private(self._path(document.kind, document.digest), msgspec.msgpack.encode(paper), replace=True)

    def _tidy(self) -> None:
        """Take away the papers that the book has let go."""
        for path in self._folder.glob("*.paper"):
            _, _, digest = path.stem.partition("-")
            if not self._book.holds(bytes.fromhex(digest)):
                path.unlink(missing_ok=True)

    def _read_clock(self) -> _Clock:
        try:
            return _CLOCK.decode(read_private(self._folder / "clock", 64))
        except (NotFound, *UNREADABLE):
            return _Clock()

    def _write_clock(self) -> None:
        age = self._boot() - self._confirmed if self._confirmed is not None else None
        confirmed = self.now() - age if age is not None else 0.0
        data = msgspec.msgpack.encode(_Clock(self._newest, confirmed))
        write_private(self._folder / "clock", data, replace=True)
