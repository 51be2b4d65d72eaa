"""The charter: numbered documents, signed by the authority or an administrator, that hold for the whole mesh.

    policy       what roles may do
    revocations  who is no member any more, and which administrator's word ended
    coordinator  which node keeps the ledger
    epoch        the role keys in use

Of two documents of a kind the higher number stands, on a tie the lower SHA-256 of the signed bytes.
A *paper* is a document with its signer's grant chain, so that a node can check it without knowing the
signer. A *book* holds, for each kind and signer, the signer's best document, and says what is in force:
a pure function of what it holds, so books that hold the same agree, whatever came first.

A removed administrator's documents count no longer, except those that the removal itself lets stand.
Where two administrators remove each other, the one whose delegation is older stands; the authority's
word comes before any.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Final, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import kind_of_envelope, open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, GrantRefused, InvalidEnvelope
from bzzzd.identity.grants import CHAIN_LIMIT, GRANT_LIMIT, Revocations, Trust
from bzzzd.identity.revocations import RevocationList, read_list, together

CharterKind = Literal["policy", "revocations", "coordinator", "epoch"]
CHARTER_KINDS: Final[tuple[CharterKind, ...]] = get_args(CharterKind)
# A paper must fit into one gossip message, with its chain.
DOCUMENT_LIMIT: Final = 983_040
_MOST_SIGNERS: Final = 64
_AUTHORITY: Final = -1


Chain = Annotated[tuple[Annotated[bytes, Meta(max_length=GRANT_LIMIT)], ...], Meta(max_length=CHAIN_LIMIT)]


class Document(Struct, frozen=True, kw_only=True):
    """A verified document. ``at`` is Unix seconds; ``author`` the signer's key; ``digest`` SHA-256 of ``raw``."""

    kind: CharterKind
    number: int
    at: float
    author: bytes
    payload: bytes
    raw: bytes
    digest: bytes

    @property
    def rank(self) -> tuple[int, bytes]:
        """The lowest stands."""
        return -self.number, self.digest


class Paper(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A document as it travels and lies on disk; ``chain`` is empty for the authority's own."""

    raw: Annotated[bytes, Meta(max_length=DOCUMENT_LIMIT)]
    chain: Chain = ()

    @property
    def digest(self) -> bytes:
        """SHA-256 of document and chain."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).digest()


class _Numbered(Struct, frozen=True):
    """What every payload has; the rest is its owner's."""

    number: Annotated[int, Meta(ge=1, le=2**53)]
    at: Annotated[float, Meta(ge=0, lt=2.0**53)]


_DECODER: Final = msgspec.msgpack.Decoder(_Numbered)


def seal_document(key: SigningKey, kind: CharterKind, mesh_id: str, payload: Struct) -> bytes:
    """Sign ``payload`` (a struct with ``number`` and ``at``) as a document of ``kind``."""
    return seal(key, kind, mesh_id, msgspec.msgpack.encode(payload))


def open_document(raw: bytes, mesh_id: str) -> Document:
    """Verify and read the part that all documents share; whether the author may sign is for the book."""
    kind = next((known for known in CHARTER_KINDS if known == kind_of_envelope(raw)), None)
    if kind is None:
        raise InvalidEnvelope(f"this is no document of the charter: those are {', '.join(CHARTER_KINDS)}")
    envelope = open_envelope(raw, kind=kind, mesh_id=mesh_id, limit=DOCUMENT_LIMIT)
    try:
        numbered = _DECODER.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed {kind} document has a wrong shape: {error}") from error
    return Document(
        kind=kind, number=numbered.number, at=numbered.at, author=envelope.author, payload=envelope.payload,
        raw=raw, digest=envelope.digest,
    )  # fmt: skip


class _Held(NamedTuple):
    document: Document
    paper: Paper
    seniority: int
    revoked: RevocationList | None


Check = Callable[[Document], object]


class Book:
    """``checks`` say, by kind, whether a payload makes sense; they raise."""

    def __init__(self, trust: Trust, checks: Mapping[CharterKind, Check] | None = None) -> None:
        self._trust = Trust(trust.mesh_id, trust.authority)
        self._checks = dict(checks or {})
        self._held: dict[bytes, _Held] = {}
        self._current: dict[CharterKind, Document] = {}
        self.revocations = Revocations()

    def check_with(self, kind: CharterKind, check: Check) -> None:
        self._checks[kind] = check

    def current(self, kind: CharterKind) -> Document | None:
        """The document in force."""
        return self._current.get(kind)

    def papers(self) -> list[Paper]:
        """Everything held: what another book needs to agree with this one."""
        return [held.paper for held in self._held.values()]

    def digests(self) -> frozenset[bytes]:
        """The digests of ``papers``."""
        return frozenset(held.paper.digest for held in self._held.values())

    def read(self, paper: Paper) -> Document:
        """Check a paper without taking it: signature, the signer's right at that time, shape.

        Raises ``InvalidEnvelope`` or ``GrantRefused``.
        """
        return self._open(paper).document

    def take(self, paper: Paper) -> frozenset[CharterKind]:
        """Hold a paper, if it is its signer's best; gives the kinds of which another document is in force now.

        A change of what is revoked counts as one of kind ``revocations``. Raises what ``read`` raises.
        """
        held = self._open(paper)
        before, revoked = dict(self._current), self.revocations
        known = self._held.get(held.document.digest)
        if known is not None and _plain(known) <= _plain(held):
            return frozenset()
        self._held = {**self._held, held.document.digest: held}  # another thread may be reading the old one
        self._settle()
        changed = {kind for kind in CHARTER_KINDS if before.get(kind) != self._current.get(kind)}
        if self.revocations != revoked:
            changed.add("revocations")
        return frozenset(changed)

    def wants(self, document: Document) -> bool:
        """Whether taking it could change anything: it is its signer's best, or stays after a removal."""
        if document.digest in self._held:
            return False
        same = (held.document for held in self._held.values() if held.document.author == document.author)
        better = any(other.kind == document.kind and other.rank <= document.rank for other in same)
        return not better or document.digest in self.revocations.stand.get(document.author, frozenset())

    def holds(self, digest: bytes) -> bool:
        """Whether the document of this digest is among those held."""
        return digest in self._held

    def _open(self, paper: Paper) -> _Held:
        document = open_document(paper.raw, self._trust.mesh_id)
        seniority = _AUTHORITY
        if document.author != self._trust.authority:
            if not paper.chain:
                raise GrantRefused(
                    f"a {document.kind} document is signed by an administrator, and shows the grant that makes its "
                    "signer one; an administrator is made with: sudo bzzz mesh admin add USER"
                )
            grant = self._trust.admit(paper.chain, now=document.at)
            if grant.kind != "admin" or grant.key != document.author:
                raise GrantRefused(
                    f"a {document.kind} document is signed by an administrator, and {grant.kind} {grant.id} is none; "
                    "one is made with: sudo bzzz mesh admin add USER"
                )
            seniority = grant.serial
        check = self._checks.get(document.kind)
        if check is not None:
            check(document)
        revoked = read_list(document.payload) if document.kind == "revocations" else None
        if revoked is not None and self._trust.authority in revoked.named:
            raise InvalidEnvelope("a list of revocations names the mesh's own authority, which nobody can take back")
        return _Held(document, paper, seniority, revoked)

    def _settle(self) -> None:
        """Decide what need not be held any more, who counts, and what is in force."""
        before = -1
        while before != len(self._held):  # what is let go may have been what let something stand
            before = len(self._held)
            self.revocations, counted = self._revoked()
            self._forget()
        self._current = {}
        for held in sorted(self._held.values(), key=lambda held: held.document.rank):
            document = held.document
            # A list that ends its own signer's word counts all the same.
            if document.digest in counted or (held.revoked is None and _stands(document, self.revocations)):
                self._current.setdefault(document.kind, document)

    def _revoked(self) -> tuple[Revocations, frozenset[bytes]]:
        """All lists that stand, from the most senior signer down: a list may end the word of those after it.

        Gives what they take back together, and their digests.
        """
        lists = [held for held in self._held.values() if held.revoked is not None]
        counted: list[RevocationList] = []
        digests: set[bytes] = set()
        found = Revocations()
        for held in sorted(lists, key=lambda held: (held.seniority, held.document.author, held.document.rank)):
            if held.revoked is not None and _stands(held.document, found):
                counted.append(held.revoked)
                digests.add(held.document.digest)
                found = together(max(found.number, held.document.number), counted)
        return found, frozenset(digests)

    def _forget(self) -> None:
        """Keep each signer's best and what stands of a removed one, and no more signers than may be."""
        best: dict[tuple[CharterKind, bytes], _Held] = {}
        for held in sorted(self._held.values(), key=lambda held: held.document.rank):
            best.setdefault((held.document.kind, held.document.author), held)
        kept = {held.document.digest for held in best.values()}
        for kind in CHARTER_KINDS:
            signers = sorted((h for (k, _), h in best.items() if k == kind), key=_precedence)
            kept -= {held.document.digest for held in signers[_MOST_SIGNERS:]}
        standing = frozenset().union(*self.revocations.stand.values())
        self._held = {d: held for d, held in self._held.items() if d in kept or d in standing}


def newer(papers: Iterable[Paper], held: frozenset[bytes], limit: int) -> tuple[list[Paper], bool]:
    """Those of ``papers`` that are not ``held``, at most ``limit`` bytes of them; and whether that is all."""
    found: list[Paper] = []
    size = 0
    for paper in papers:
        if paper.digest not in held:
            size += len(paper.raw) + sum(map(len, paper.chain))
            if found and size > limit:
                return found, False
            found.append(paper)
    return found, True


def _stands(document: Document, revocations: Revocations) -> bool:
    author = document.author
    return not revocations.removed(author) or document.digest in revocations.stand.get(author, frozenset())


def _plain(held: _Held) -> tuple[int, tuple[bytes, ...]]:
    """Of two chains that make one document count, the same is held everywhere."""
    return held.seniority, held.paper.chain


def _precedence(held: _Held) -> tuple[int, bytes]:
    return held.seniority, held.document.author
