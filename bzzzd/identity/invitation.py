"""Invitations: what an inviter gives out, how a joiner proves that it holds it, and what both show to people.

    inviter ── token (authority, own key, addresses, secret) ──► joiner, by a way that people trust
    joiner  ── ask, signed by the key that is to become a member ─► inviter
            ── proof = HMAC(secret; both peer ids, challenge, ask)
    both show the same eight digits, made from both keys, the ask and the inviter's nonce

The secret is never sent, and a proof holds for one challenge between two peer ids, so who relays or
overhears one can do nothing with it. The joiner's ask is fixed before the inviter chooses its nonce, so
nobody can search for a key that gives the digits somebody else's screen shows.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from bzzzd.crypto.envelope import open_envelope, seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, BadInput, InvalidEnvelope, InvitationRefused
from bzzzd.identity.grants import Grant, Key, Name, mesh_id_of

ID_BYTES: Final = 8
SECRET_BYTES: Final = 20
ASK_LIMIT: Final = 4096
MAX_ADDRESSES: Final = 8
MAX_WRONG: Final = 10
_PREFIX: Final = "bzzz-invitation-1."
_CHECK_BYTES: Final = 6
_LONGEST_TOKEN: Final = 4096

Subject = Literal["node", "person"]
InvitationId = Annotated[bytes, Meta(min_length=ID_BYTES, max_length=ID_BYTES)]
Nonce = Annotated[bytes, Meta(min_length=16, max_length=64)]
Secret = Annotated[bytes, Meta(min_length=SECRET_BYTES, max_length=SECRET_BYTES)]


class Token(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What an invitation's text holds. ``addresses`` are multiaddrs of the inviter, without its peer id."""

    authority: Key
    inviter: Key
    id: InvitationId
    secret: Secret
    kind: Subject
    addresses: Annotated[tuple[Annotated[str, Meta(max_length=256)], ...], Meta(min_length=1, max_length=MAX_ADDRESSES)]

    @property
    def mesh_id(self) -> str:
        return mesh_id_of(self.authority)

    def __repr__(self) -> str:
        return f"Token({self.id.hex()} of {self.mesh_id})"


class Ask(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a joiner asks for, signed by ``key``, which is to become the member. ``nonce`` makes each ask its own."""

    invitation: InvitationId
    kind: Subject
    id: Name
    key: Key
    age: Annotated[str, Meta(max_length=128)] | None = None
    nonce: Nonce


class Invitation(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The inviter's record of what it gave out; ``proof_key`` stands for the secret, which is not kept.

    ``subject`` fixes the joiner's id where it is not empty, ``pinned`` its key. ``unattended`` lets it in
    without a person's word. ``by`` is the administrator's key; times are Unix seconds.
    """

    id: InvitationId
    proof_key: bytes
    kind: Subject
    role: Name
    subject: str = ""
    uses: Annotated[int, Meta(ge=1)] = 1
    unattended: bool = False
    pinned: bytes = b""
    may_grant: tuple[Name, ...] = ()
    valid_s: float
    by: Key
    created: float
    expires: float


class Standing(Struct, frozen=True):
    """How far an invitation is used up: by joiners who were let in, and by wrong proofs."""

    used: int = 0
    wrong: int = 0


_TOKEN: Final = msgspec.msgpack.Decoder(Token)
_ASK: Final = msgspec.msgpack.Decoder(Ask)


def refused(reason: str, message: str, **data: Any) -> InvitationRefused:
    """``reason`` is a stable word for programs."""
    return InvitationRefused(message, reason=reason, **data)


def token_text(token: Token) -> str:
    """The token as one word that survives a copy by hand or mail."""
    body = msgspec.msgpack.encode(token)
    check = hashlib.sha256(b"bzzz invitation\0" + body).digest()[:_CHECK_BYTES]
    return _PREFIX + base64.urlsafe_b64encode(body + check).decode("ascii").rstrip("=")


def read_token(text: str) -> Token:
    """The inverse; ``BadInput`` for anything else, without repeating the text, which may hold a secret."""
    text = "".join(text.split())
    if not text.startswith(_PREFIX) or len(text) > _LONGEST_TOKEN:
        raise BadInput(f"this is no invitation: one begins with {_PREFIX}; ask for a new one (bzzz mesh invite)")
    coded = text.removeprefix(_PREFIX)
    try:
        raw = base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True)
        body, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        if not hmac.compare_digest(hashlib.sha256(b"bzzz invitation\0" + body).digest()[:_CHECK_BYTES], check):
            raise ValueError
        return _TOKEN.decode(body)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        raise BadInput("this invitation is damaged: copy the whole of it, as one word, and try again") from None


def new_token(authority: bytes, inviter: bytes, kind: Subject, addresses: Sequence[str]) -> Token:
    """A fresh invitation. The addresses that come first are kept when there are too many."""
    return Token(
        authority, inviter, secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES), kind,
        tuple(addresses)[:MAX_ADDRESSES],
    )  # fmt: skip


def proof_key(token: Token) -> bytes:
    """What both sides compute proofs with; the secret cannot be found from it."""
    bound = b"bzzz invitation key\0" + token.authority + token.inviter + token.id
    return hmac.digest(token.secret, bound, "sha256")


def prove(key: bytes, *, inviter: bytes, carrier: bytes, challenge: bytes, ask: bytes) -> bytes:
    """The proof for one challenge; ``inviter`` and ``carrier`` are the keys of the two peers that talk."""
    digest = hashlib.sha256(ask).digest()
    return hmac.digest(key, b"bzzz invitation proof\0" + inviter + carrier + challenge + digest, "sha256")


def proved(proof: bytes, key: bytes, *, inviter: bytes, carrier: bytes, challenge: bytes, ask: bytes) -> bool:
    expected = prove(key, inviter=inviter, carrier=carrier, challenge=challenge, ask=ask)
    return hmac.compare_digest(proof, expected)


def short_code(authority: bytes, inviter: bytes, ask: bytes, key: bytes, nonce: bytes) -> str:
    """Eight digits, ``1234 5678``, that two people compare: the same on both sides, or somebody stands between."""
    digest = hashlib.sha256(
        b"bzzz invitation code\0" + authority + inviter + key + nonce + hashlib.sha256(ask).digest()
    ).digest()
    number = int.from_bytes(digest[:8], "big") % 100_000_000
    return f"{number // 10_000:04d} {number % 10_000:04d}"


def seal_ask(key: SigningKey, token: Token, *, id: str, age: str | None) -> bytes:
    """A signed ask with a nonce of its own; wrong names raise ``BadInput``."""
    fields = {
        "invitation": token.id, "kind": token.kind, "id": id, "key": key.public, "age": age,
        "nonce": secrets.token_bytes(16),
    }  # fmt: skip
    try:
        ask = msgspec.convert(fields, Ask)
    except msgspec.ValidationError as error:
        raise BadInput(f"{id!r} cannot join under this name: {error}") from error
    return seal(key, "join-ask", token.mesh_id, msgspec.msgpack.encode(ask))


def open_ask(raw: bytes, mesh_id: str) -> Ask:
    """Verify and decode what a joiner asks; ``InvitationRefused`` for one of another mesh."""
    try:
        envelope = open_envelope(raw, kind="join-ask", mesh_id=mesh_id, limit=ASK_LIMIT)
    except InvalidEnvelope as error:
        if "belongs to mesh" in error.message:
            raise refused(
                "mesh", f"this invitation is for another mesh than {mesh_id}, which this node is in"
            ) from error
        raise
    try:
        ask = _ASK.decode(envelope.payload)
    except UNREADABLE as error:
        raise InvalidEnvelope(f"a signed ask has a wrong shape: {error}") from error
    if ask.key != envelope.author:
        raise InvalidEnvelope("a joiner asks for a grant for another key than the one that it signs with")
    return ask


def check_standing(standing: Standing) -> None:
    """Refuse an invitation that somebody has been guessing at: nothing proved with it counts any more."""
    if standing.wrong >= MAX_WRONG:
        raise refused(
            "void", f"this invitation is void after {MAX_WRONG} wrong proofs; have a new one made (bzzz mesh invite)"
        )


def check_open(invitation: Invitation, standing: Standing, now: float) -> None:
    """Refuse an invitation whose time or uses have gone; asked after the proof, so that only holders learn it."""
    if now > invitation.expires:
        raise refused("expired", "this invitation has expired; have a new one made (bzzz mesh invite)")
    if standing.used >= invitation.uses:
        raise refused(
            "used", f"this invitation was for {invitation.uses} and is used up; have a new one made (bzzz mesh invite)"
        )


def check_ask(invitation: Invitation, ask: Ask, carrier: bytes) -> None:
    """Refuse an ask that the invitation is not for; ``carrier`` is the key that the connection proved."""
    if ask.kind != invitation.kind:
        raise refused("kind", f"this invitation is for a {invitation.kind}, and a {ask.kind} asks with it")
    if invitation.subject and ask.id != invitation.subject:
        raise refused("subject", f"this invitation is for {invitation.subject}, not for {ask.id} (--id)")
    if invitation.pinned and ask.key != invitation.pinned:
        raise refused("key", f"this invitation is for one key, and {ask.id} asks with another; have one made for it")
    if ask.kind == "node" and ask.key != carrier:
        raise refused("carrier", "a node asks for itself: the key that signs is not the key of this connection")


def fits(grant: Grant, invitation: Invitation, ask: Ask) -> bool:
    """Whether a grant that an administrator's client signed says what was asked and no more."""
    return (
        (grant.kind, grant.id, grant.key, grant.age, grant.role)
        == (ask.kind, ask.id, ask.key, ask.age, invitation.role)
        and set(grant.may_grant) <= set(invitation.may_grant)
        and not grant.capabilities
        and grant.not_after - grant.not_before <= invitation.valid_s + 1.0
    )


class Outcome(Struct, frozen=True):
    """What an inviter answers: the chain of the grant, or the nonce of a request that waits for a person's word."""

    chain: Annotated[tuple[bytes, ...], Meta(max_length=3)] = ()
    nonce: Annotated[bytes, Meta(max_length=64)] = b""
    pause_s: Annotated[float, Meta(ge=0, lt=2.0**53)] = 1.0


_OUTCOME: Final = msgspec.msgpack.Decoder(Outcome)


def read_outcome(raw: bytes) -> Outcome:
    """Decode an inviter's answer; ``InvalidEnvelope`` when it is none."""
    try:
        outcome = _OUTCOME.decode(raw)
    except UNREADABLE as error:
        raise InvalidEnvelope("the inviter answered with something that is no outcome of joining") from error
    if not outcome.chain and not outcome.nonce:
        raise InvalidEnvelope("the inviter answered neither with a grant nor with a request's nonce")
    return outcome
