"""The charter among members: new documents go to all at once; what somebody missed is fetched from any other.

    topic     bzzz/charter/1    one paper, from whoever it was new for
    protocol  /bzzz/charter/1   what do you hold that I lack, and here is what you lack

Nodes compare when they meet, and each with one other every half minute, so that a lost message costs
half a minute at most. Where many meet at once, each compares with a few: what one learns, it spreads.
A comparison that leaves nothing open confirms that the list of revocations is current. Whether both
know the same members is settled on the way.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import kind_of_envelope
from bzzzd.daemon.membership.charter import Charter
from bzzzd.daemon.membership.member_sync import MemberSync
from bzzzd.errors import UNREADABLE, BzzzError, InvalidEnvelope
from bzzzd.identity.charter import CHARTER_KINDS, Document, Paper, newer
from bzzzd.identity.revocations import Digest
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.values import MAX_PAPERS_BYTES, Briefing, MeshEvent
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.services import Health

CHARTER_TOPIC: Final = "bzzz/charter/1"
CHARTER_PROTOCOL: Final = "/bzzz/charter/1"
_EVERY_S: Final = 30.0
_REQUEST_S: Final = 10.0
_ANSWER_BYTES: Final = 4_194_304
_BRIEFING_BYTES: Final = MAX_PAPERS_BYTES // 2
_MOST_PAPERS: Final = 512
_MOST_ROUNDS: Final = 32
_TRIES: Final = 3
_GATHER_S: Final = 0.1
_AT_ONCE: Final = 3

Held = Annotated[tuple[Digest, ...], Meta(max_length=_MOST_PAPERS)]
Papers = Annotated[tuple[Paper, ...], Meta(max_length=_MOST_PAPERS)]


class Ask(Struct, frozen=True, array_like=True, tag="ask", forbid_unknown_fields=True):
    """What the asker holds; it wants the rest. ``members`` is one word for the members it knows."""

    held: Held
    members: Annotated[bytes, Meta(max_length=32)] = b""


class Tell(Struct, frozen=True, array_like=True, tag="tell", forbid_unknown_fields=True):
    """What the teller holds and the other lacks."""

    papers: Papers


class Answer(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Papers that the asker lacks (``whole``: all of them), and what the answerer holds."""

    papers: Papers
    held: Held
    whole: bool
    members: Annotated[bytes, Meta(max_length=32)] = b""


_REQUEST: Final = msgspec.msgpack.Decoder(Ask | Tell)
_ANSWER: Final = msgspec.msgpack.Decoder(Answer)
_PAPER: Final = msgspec.msgpack.Decoder(Paper)
_PAPERS: Final = msgspec.msgpack.Decoder(Papers)
_HELD: Final = msgspec.msgpack.Decoder(Held)
_encode: Final = msgspec.msgpack.Encoder().encode


def briefing(charter: Charter) -> Briefing:
    """What peers tell each other about revocations while they join; the rest of the charter follows after."""

    def lists() -> list[Paper]:
        return [paper for paper in charter.papers() if kind_of_envelope(paper.raw) == "revocations"]

    def heads() -> bytes:
        return _encode(tuple(paper.digest for paper in lists()))

    def missing(theirs: bytes) -> bytes:
        try:
            held = frozenset(_HELD.decode(theirs)) if theirs else frozenset()
        except UNREADABLE:
            held = frozenset()
        papers, _ = newer(lists(), held, _BRIEFING_BYTES)
        return _encode(papers) if papers else b""

    async def learn(peer_id: str, papers: bytes) -> None:
        # What does not decode, or does not hold, is told at the comparison that follows.
        with suppress(*UNREADABLE):
            await charter.learn(_PAPERS.decode(papers))

    return Briefing(heads=heads, missing=missing, learn=learn)


class CharterSync:
    """``spawn(service, name, work, ends=…)`` runs a background task."""

    name = "charter"
    depends = ("mesh",)

    def __init__(
        self, charter: Charter, members: MemberSync, mesh: Mesh, events: Stream, spawn: Callable[..., Any]
    ) -> None:
        self._charter = charter
        self._members = members
        self._mesh = mesh
        self._events = events
        self._spawn = spawn
        self._met: set[str] = set()
        self._stopped = False

    async def start(self) -> None:
        self._members.open()
        self._charter.spread_by(self._publish)
        for kind in CHARTER_KINDS:
            self._charter.watch(kind, self._in_force)
        self._mesh.subscribe(CHARTER_TOPIC, self._heard)
        self._mesh.handle(CHARTER_PROTOCOL, self._answer)
        self._spawn(self.name, "comparing", self._keep_comparing())
        for peer in self._mesh.peers():
            if peer.connected:
                self._meet(peer.peer_id)

    async def stop(self) -> None:
        """Begin nothing new."""
        self._stopped = True
        await self._members.close()

    def health(self) -> Health:
        heads = self._charter.heads()
        detail = ", ".join(f"{kind} {number}" for kind, (number, _) in heads.items()) or "nothing signed yet"
        if not self._charter.fresh():
            return Health(degraded=True, detail=f"{detail}; no member has confirmed the revocations lately")
        return Health(detail=detail)

    def happened(self, event: MeshEvent) -> None:
        """A member has joined: compare with it, or with some of those that join at the same time."""
        if event.kind == "joined":
            self._meet(event.peer_id)

    def _meet(self, peer_id: str) -> None:
        if self._stopped:
            return
        self._met.add(peer_id)
        if len(self._met) == 1:
            self._spawn(self.name, "comparing with new peers", self._compare_with_new(), ends=True)

    async def _compare_with_new(self) -> None:
        await asyncio.sleep(_GATHER_S)
        met, self._met = list(self._met), set()
        for peer_id in secrets.SystemRandom().sample(met, min(len(met), _AT_ONCE)):
            await self._compare(peer_id, _TRIES)

    async def _keep_comparing(self) -> None:
        while True:
            # Nodes that started together do not ask together.
            await asyncio.sleep(_EVERY_S * (800 + secrets.randbelow(400)) / 1000)
            peers = [peer.peer_id for peer in self._mesh.peers() if peer.connected]
            if peers:
                await self._compare(secrets.choice(peers), 1)

    async def _compare(self, peer_id: str, tries: int) -> None:
        """Compare with a member; one that has just joined may not serve yet, so it is asked again."""
        for left in reversed(range(tries)):
            try:
                await self.exchange(peer_id)
            except BzzzError as error:
                if not left:
                    self._say("charter_not_compared", error.message, peer_id)
                    return
                await asyncio.sleep(1.0)
            else:
                return

    async def exchange(self, peer_id: str) -> None:
        """Fetch what a member holds and this node lacks, and give it what it lacks."""
        for _ in range(_MOST_ROUNDS):
            held = self._charter.digests()
            answer = await self._request(peer_id, Ask(tuple(held), self._members.root))
            good = await self._learn(answer.papers, peer_id, spread=True)
            if answer.whole or not answer.papers:
                break
        while True:
            papers, whole = newer(self._charter.papers(), frozenset(answer.held), _ANSWER_BYTES)
            if not papers:
                break
            told = await self._request(peer_id, Tell(tuple(papers)))
            if whole or len(told.held) <= len(answer.held):
                break
            answer = told
        if good:
            await self._charter.confirmed()
        if answer.members != self._members.root:
            await self._members.exchange(peer_id)

    async def _request(self, peer_id: str, what: Ask | Tell) -> Answer:
        raw = await self._mesh.request(peer_id, CHARTER_PROTOCOL, _encode(what), _REQUEST_S)
        with self._mesh.judging(peer_id):
            return _ANSWER.decode(raw)

    async def _answer(self, peer_id: str, raw: bytes) -> bytes:
        try:
            asked = _REQUEST.decode(raw)
        except UNREADABLE as error:
            raise InvalidEnvelope(f"this is no request about the charter: {error}") from error
        papers: list[Paper] = []
        whole = True
        if isinstance(asked, Tell):
            await self._learn(asked.papers, peer_id, spread=True)
        else:
            papers, whole = newer(self._charter.papers(), frozenset(asked.held), _ANSWER_BYTES)
            if self._charter.digests() >= set(asked.held):
                await self._charter.confirmed()
        return _encode(Answer(tuple(papers), tuple(self._charter.digests()), whole, self._members.root))

    def _publish(self, paper: Paper) -> None:
        if not self._stopped:
            self._spawn(self.name, "spreading", self._spread(paper), ends=True)

    async def _spread(self, paper: Paper) -> None:
        try:
            await self._mesh.publish(CHARTER_TOPIC, _encode(paper))
        except BzzzError as error:  # whoever missed it fetches it at the next comparison
            self._say("charter_not_spread", error.message, "")

    def _heard(self, topic: str, peer_id: str, raw: bytes) -> None:
        try:
            with self._mesh.judging(peer_id):
                paper = _PAPER.decode(raw)
        except InvalidEnvelope as error:
            self._say("invalid", f"no paper of the charter: {error.message}", peer_id)
            return
        if not self._stopped:
            work = self._mesh.holding(len(raw), self._learn, (paper,), peer_id, spread=False)
            self._spawn(self.name, "learning", work, ends=True)

    async def _learn(self, papers: tuple[Paper, ...], peer_id: str, *, spread: bool) -> bool:
        # Every member checks a paper before it keeps it, so one that does not hold is the fault of whoever gave it.
        # What is dated ahead, or refused for its author's grant, may look different there.
        reasons = await self._charter.learn(papers, spread=spread, invalid=lambda: self._mesh.blame(peer_id))
        for reason in reasons:
            self._say("invalid", reason, peer_id)
        return not reasons

    def _in_force(self, document: Document) -> None:
        self._say(document.kind, f"{document.kind} number {document.number} is in force", "")

    def _say(self, kind: str, detail: str, peer_id: str) -> None:
        self._events.append({"source": "charter", "kind": kind, "peer_id": peer_id, "detail": detail[:300]})
