"""Role secrets among nodes: who holds them gives them to who is entitled, encrypted to that node alone.

    /bzzz/keys/1    ask for secrets by their public halves, and for earlier epochs   →   what is given

What a node lacks it asks of every member that it is connected to, when one joins, when an epoch begins,
when somebody attaches, when a reader needs it, and again later while it lacks something. Any holder
serves, so the founder may be away. A given secret is taken only where a known epoch names its public half.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto import age
from bzzzd.crypto.envelope import kind_of_envelope
from bzzzd.daemon.membership.members import Attached, Members
from bzzzd.errors import UNREADABLE, BzzzError, GrantRefused, InvalidEnvelope
from bzzzd.identity.charter import Document, Paper
from bzzzd.identity.entitled import CLAIM_LIMIT, NODE_ROLE, Evidence, Rights, rights_of, seal_claim
from bzzzd.identity.epoch import EPOCH_LIMIT, KIND, Digest, Epoch, open_epoch
from bzzzd.identity.grants import Recipient
from bzzzd.identity.node import NodeIdentity
from bzzzd.mesh.mesh import Mesh
from bzzzd.mesh.peer_id import key_of
from bzzzd.mesh.values import MeshEvent
from bzzzd.rpc.streams import Stream
from bzzzd.runtime.services import Health
from bzzzd.storage.versions.rolekeys import Missing, RoleKeys, Secret, recovery_of

KEYS_PROTOCOL: Final = "/bzzz/keys/1"
MAX_SECRETS: Final = 512
MAX_EPOCHS: Final = 16
_MAX_EVIDENCE: Final = 32
_REQUEST_S: Final = 5.0
# A reader waits this long for a secret that may be had; then it is told what is lacking.
_OBTAIN_S: Final = 5.0
_AGAIN_S: Final = (1.0, 30.0)
_STARTING_S: Final = 4.0
_MOST_ASKED: Final = 16

Text = Annotated[str, Meta(max_length=512)]


class Ask(Struct, frozen=True, array_like=True, tag="ask", forbid_unknown_fields=True):
    """``secrets`` by their public halves, ``epochs`` by their digests; the rest shows what the asker may have."""

    secrets: Annotated[tuple[Recipient, ...], Meta(max_length=MAX_SECRETS)]
    epochs: Annotated[tuple[Digest, ...], Meta(max_length=MAX_EPOCHS)]
    evidence: Annotated[tuple[Evidence, ...], Meta(max_length=_MAX_EVIDENCE)]
    claim: Annotated[bytes, Meta(max_length=CLAIM_LIMIT)] = b""


class Given(Struct, frozen=True, array_like=True, tag="given", forbid_unknown_fields=True):
    """``sealed`` is a list of secrets, encrypted by age to the asker's node; ``refused`` says which roles and why."""

    sealed: Annotated[bytes, Meta(max_length=262_144)]
    epochs: Annotated[tuple[Annotated[bytes, Meta(max_length=EPOCH_LIMIT)], ...], Meta(max_length=MAX_EPOCHS)]
    refused: Annotated[tuple[tuple[Text, Text], ...], Meta(max_length=MAX_SECRETS)]


_ASK: Final = msgspec.msgpack.Decoder(Ask)
_GIVEN: Final = msgspec.msgpack.Decoder(Given)
_LIST: Final = msgspec.msgpack.Decoder(
    Annotated[tuple[Annotated[str, Meta(max_length=128)], ...], Meta(max_length=MAX_SECRETS)]
)
_encode: Final = msgspec.msgpack.Encoder().encode


class KeyDesk:
    """Asks for what is lacking and answers who asks; ``changed()`` is told when this node has come to hold more.

    ``papers()`` are the documents that the charter holds.
    """

    name = "keys"
    depends = ("mesh", "charter")

    def __init__(
        self,
        rolekeys: RoleKeys,
        identity: NodeIdentity,
        age_secret: str,
        members: Members,
        mesh: Mesh,
        events: Stream,
        *,
        clock: Callable[[], float],
        spawn: Callable[..., Any],
        changed: Callable[[], None],
        papers: Callable[[], Iterable[Paper]],
    ) -> None:
        self._rolekeys = rolekeys
        self._identity = identity
        self._age_secret = age_secret
        self._members = members
        self._mesh = mesh
        self._events = events
        self._clock = clock
        self._spawn = spawn
        self._changed = changed
        self._papers = papers
        self._evidence: OrderedDict[str, Evidence] = OrderedDict()
        self._writing = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._refusals: dict[str, str] = {}
        self._vain: float | None = None
        self._unheard = False

    async def start(self) -> None:
        self._mesh.handle(KEYS_PROTOCOL, self._answer)
        self._spawn(self.name, "asking", self._keep_asking())

    async def stop(self) -> None:
        """Nothing is held open."""

    def health(self) -> Health:
        keys = self._rolekeys
        if keys.epoch is None:
            return Health(degraded=True, detail="this node has not heard of the mesh's role keys yet")
        lacking = sorted({missing.role for missing in self.missing() if missing.number == keys.current})
        held = f"epoch {keys.current}, secrets of {', '.join(sorted(keys.held())) or 'no role'}"
        if lacking and self._vain is not None:
            why = "; ".join(f"{role}: {self._refusals.get(role, 'no member here has it')}" for role in lacking)
            return Health(degraded=True, detail=f"{held}; lacking {why}"[:500])
        return Health(detail=held)

    # What happens.

    def happened(self, event: MeshEvent) -> None:
        """A member has joined: it may have what is lacking here."""
        if event.kind == "joined":
            self.met()

    def met(self) -> None:
        """A member has joined, or this node has become entitled to more: what is lacking may be had now."""
        self._wake.set()

    def attached(self, found: Attached, envelope: bytes, salt: bytes) -> None:
        """Somebody has attached here: this node may have the secrets of their role, and shows why."""
        role = found.caller.role
        if role in self._own_roles() or len(salt) != 32:
            return
        self._evidence[role] = Evidence(found.chain, envelope, salt)
        self._evidence.move_to_end(role)
        while len(self._evidence) > _MAX_EVIDENCE:
            self._evidence.popitem(last=False)
        self._wake.set()

    def in_force(self, document: Document) -> None:
        """The charter has put an epoch in force."""
        self._spawn(self.name, f"epoch {document.number}", self._enforce(document.raw), ends=True)

    async def _enforce(self, raw: bytes) -> None:
        async with self._writing:
            epoch = await asyncio.to_thread(open_epoch, raw, self._identity.mesh_id)
            await asyncio.to_thread(self._rolekeys.enforce, epoch)
        self._wake.set()
        self._changed()

    async def keep(self, raw: bytes, made: Iterable[str]) -> Epoch:
        """Write down an epoch that was made here, with its secrets, before the charter has it."""
        async with self._writing:
            return await asyncio.to_thread(self._rolekeys.keep, raw, tuple(made))

    async def obtain(self, roles: Sequence[str]) -> None:
        """Ask now for secrets of ``roles`` that this node may have and lacks; returns when there is no more hope."""
        # What nobody had a moment ago is not asked for by every reader that comes.
        lately = self._vain is not None and time.monotonic() - self._vain < _AGAIN_S[0] and not self._wake.is_set()
        if lately:
            return
        await self._hear()
        if any(missing.role in roles for missing in self.missing()):
            try:
                async with asyncio.timeout(_OBTAIN_S):
                    await self._ask_all()
            except TimeoutError:
                return

    # Asking.

    def missing(self) -> list[Missing]:
        """What this node is entitled to and does not hold."""
        keys = self._rolekeys
        if self._identity.authority_key is not None:
            return keys.missing(role for epoch in keys.epochs for role in epoch.record.recipients)
        return keys.missing({*self._own_roles(), *self._evidence})

    def _own_roles(self) -> frozenset[str]:
        return frozenset((NODE_ROLE, *self._identity.grant.may_grant))

    async def _keep_asking(self) -> None:
        pause, longest = _AGAIN_S
        while True:
            self._wake.clear()
            try:
                done = await self._ask_all()
            except BzzzError as error:  # a full disk, say: what is given is asked for again
                self._note(f"role keys cannot be kept: {error.message}", "")
                done = False
            try:
                async with asyncio.timeout(None if done else pause):
                    await self._wake.wait()
            except TimeoutError:
                # Who has said what it has is asked seldom; who could not be asked yet is likely to be starting.
                pause = min(pause * 2, _STARTING_S if self._unheard else longest)
            else:
                pause = _AGAIN_S[0]

    async def _ask_all(self) -> bool:
        """Ask connected members, in no order, until nothing is lacking; whether nothing is."""
        async with self._asking:
            self._refusals.clear()
            self._unheard = False
            await self._hear()
            await self._recover()
            peers = [peer.peer_id for peer in self._mesh.peers() if peer.connected]
            secrets.SystemRandom().shuffle(peers)
            for peer_id in peers[:_MOST_ASKED]:
                while self.missing() or self._rolekeys.unknown():
                    try:
                        if not await self._ask(peer_id):
                            break
                    except BzzzError as error:
                        self._unheard = True
                        self._note(f"asking for role keys: {error}", peer_id)
                        break
            lacking = self.missing()
            self._vain = time.monotonic() if lacking else None
            return not lacking and not self._rolekeys.unknown()

    async def _hear(self) -> None:
        """Know every epoch that the charter holds: one that lost its number was in force elsewhere for a while."""
        known = {epoch.raw for epoch in self._rolekeys.epochs}
        fresh = [p.raw for p in self._papers() if p.raw not in known and kind_of_envelope(p.raw) == KIND]
        if fresh:
            async with self._writing:
                for raw in fresh:
                    await asyncio.to_thread(self._rolekeys.keep, raw)

    async def _recover(self) -> None:
        """Where the authority's key is, every epoch known here gives its secrets by itself."""
        authority = self._identity.authority_key
        if authority is None or not self.missing():
            return
        async with self._writing:
            kept = await asyncio.to_thread(self._rolekeys.kept_for, recovery_of(authority))
            added = await asyncio.to_thread(self._rolekeys.add, kept)
        if added:
            self._say("role_keys", f"the recovery key gave {len(added)} role secrets", "")
            self._changed()

    async def _ask(self, peer_id: str) -> bool:
        """Ask one member; whether it gave anything that was lacking."""
        now, who = self._clock(), self._identity
        claim = seal_claim(who.authority_key, who.mesh_id, who.key.public, now) if who.authority_key else b""
        asked = tuple(missing.recipient for missing in self.missing())[:MAX_SECRETS]
        unknown = tuple(self._rolekeys.unknown())[:MAX_EPOCHS]
        request = Ask(asked, unknown, tuple(self._evidence.values()), claim)
        raw = await self._mesh.request(peer_id, KEYS_PROTOCOL, _encode(request), _REQUEST_S)
        with self._mesh.judging(peer_id):
            given = _GIVEN.decode(raw)
        self._refusals.update(given.refused)
        if not given.sealed and not given.epochs:
            return False
        with self._mesh.judging(peer_id):
            return await self._take(given, peer_id)

    async def _take(self, given: Given, peer_id: str) -> bool:
        found: tuple[str, ...] = ()
        if given.sealed:
            found = _LIST.decode(age.decrypt(given.sealed, [self._age_secret]))
        async with self._writing:
            adopted = [await asyncio.to_thread(self._rolekeys.adopt, raw) for raw in given.epochs]
            added = await asyncio.to_thread(self._rolekeys.add, found)
        if added:
            words = sorted(f"{missing.role} (epoch {missing.number})" for missing in added)
            self._say("role_keys", f"now holds the secrets of {', '.join(words)}", peer_id)
            self._changed()
        return bool(added) or any(adopted)

    # Answering.

    async def _answer(self, peer_id: str, raw: bytes) -> bytes:
        try:
            asked = _ASK.decode(raw)
        except UNREADABLE as error:
            raise InvalidEnvelope(f"this does not ask for role secrets: {error}") from error
        grant = self._members.grant_of(key_of(peer_id))
        if grant.kind != "node":
            raise GrantRefused(f"{grant.kind} {grant.id} is no node; only nodes are given role secrets")
        if grant.age is None:
            raise GrantRefused(
                f"the grant of node {grant.id} names no age recipient, so nothing can be encrypted for it; "
                "have the grant renewed"
            )
        rights = rights_of(grant, asked.evidence, asked.claim, self._identity.trust, now=self._clock())
        given: list[str] = []
        refused: dict[str, str] = {}
        for recipient in asked.secrets:
            held = self._rolekeys.secret(recipient)
            if held is not None:
                why = self._why_not(held, rights)
                if why:
                    refused[held.role] = why
                else:
                    given.append(held.secret)
        sealed = age.encrypt(_encode(given), [grant.age]) if given else b""
        if given:
            self._say("role_keys_given", f"{grant.id} was given {len(given)} role secrets", peer_id)
        return _encode(Given(sealed, tuple(self._earlier(asked.epochs)), tuple(sorted(refused.items()))))

    def _why_not(self, held: Secret, rights: Rights) -> str:
        """Why a secret is not given; empty when it is."""
        current, known = self._rolekeys.epoch, self._identity.trust.revocations.number
        if held.role not in rights:
            return (
                f"a node is given the secrets of the roles in its grant, and of people who attach on it; "
                f"{held.role} is none of them" + "".join(f"; {fault}" for fault in rights.faults)
            )[:512]
        if current is None or held.epoch.rank < current.rank:
            return f"epoch {held.epoch.number} is not in force here yet"
        if not current.record.earlier and held.epoch.digest != current.digest:
            return f"epoch {current.number} does not give out the secrets of earlier ones"
        if known < held.epoch.record.revocations:
            return f"this node has not heard yet who was revoked before epoch {held.epoch.number}"
        return ""

    def _earlier(self, digests: Sequence[bytes]) -> list[bytes]:
        """The epochs asked for, and those before them: at most ``MAX_EPOCHS``, within the answer's bounds."""
        known = {epoch.digest: epoch for epoch in self._rolekeys.epochs}
        found: list[bytes] = []
        for asked in digests:
            digest: bytes | None = asked
            while digest is not None and digest in known and len(found) < MAX_EPOCHS:
                if known[digest].raw not in found:
                    found.append(known[digest].raw)
                digest = known[digest].record.previous
        return found

    def _note(self, detail: str, peer_id: str) -> None:
        self._say("role_keys_refused", detail, peer_id)

    def _say(self, kind: str, detail: str, peer_id: str) -> None:
        self._events.append({"source": "keys", "kind": kind, "peer_id": peer_id, "detail": detail[:300]})
