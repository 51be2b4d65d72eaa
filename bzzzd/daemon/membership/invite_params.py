"""What an administrator asks of the inviter's desk, and what the words of an invitation mean."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from bzzzd.crypto.keys import PUBLIC_BYTES, key_from_text
from bzzzd.errors import BadInput
from bzzzd.identity.grants import Name
from bzzzd.identity.invitation import ID_BYTES, Subject
from bzzzd.identity.policy import Policy
from bzzzd.mesh.peer_id import key_of

# The levels of agents' roles: their own nodes grant those.
AGENT_LEVELS: Final = frozenset({"coordination", "suggestion", "read_only"})
_LONGEST_S: Final = 30 * 86400.0


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class InviteParams(_Params, frozen=True):
    """``person`` fixes the id of a person, ``id`` that of a node; ``key`` the only key it is for.

    A key is given as 52 characters of base32, as 64 of hex, or as a node's peer id.

    ``yes`` lets the joiner in without a word of anybody, as a pinned key does. ``expires_s`` counts from now.
    """

    role: Name | None = None
    person: Name | None = None
    id: Name | None = None
    uses: Annotated[int, Meta(ge=1, le=1000)] = 1
    expires_s: Annotated[float, Meta(gt=0, le=_LONGEST_S)] = 86400.0
    yes: bool = False
    key: Annotated[str, Meta(max_length=64)] | None = None


class ConfirmParams(_Params, frozen=True):
    """``grant`` is signed by the caller where this node does not hold the authority's key."""

    code: Annotated[str, Meta(min_length=8, max_length=20)]
    grant: Annotated[bytes, Meta(max_length=16_384)] | None = None


class CodeParams(_Params, frozen=True):
    code: Annotated[str, Meta(min_length=8, max_length=20)]


class InvitationParams(_Params, frozen=True):
    """``invitation`` is its id as hex."""

    invitation: Annotated[str, Meta(pattern=rf"^[0-9a-f]{{{2 * ID_BYTES}}}\Z")]


def subject_of(params: InviteParams, policy: Policy) -> tuple[Subject, str]:
    """What kind of member, and of which role, an invitation is for; ``BadInput`` where its words contradict."""
    role = params.role or ("operator" if params.person else "node")
    level = policy.authority_level(role)
    person = params.person is not None or (role != "node" and level not in AGENT_LEVELS)
    if role == "node" and params.person:
        raise BadInput("a person has a role of people, like operator; node is the role of machines")
    if role != "node" and not person:
        raise BadInput(
            f"{role} is a role of agents, who get their grants from their own node; name the role of a person, "
            "or node for a machine"
        )
    if person and params.id:
        raise BadInput("--id names a node; name a person with --person")
    if (params.person or params.id or params.key) and params.uses > 1:
        raise BadInput("an invitation for one id or one key has one use; leave --uses out")
    return ("person" if person else "node"), role


def pinned_key(text: str) -> bytes:
    """A public key from its text: base32, hex, or a node's peer id."""
    if text.startswith("12D3"):
        return key_of(text)
    if len(text) == 2 * PUBLIC_BYTES and set(text) <= set("0123456789abcdef"):
        return bytes.fromhex(text)
    return key_from_text(text)
