"""The authority's key: split among holders, taken off this machine, and put together again from their shares.

Shares leave this process encrypted, each for its holder. The key is taken away only after the shares that were
dealt here gave it back, and after the caller has shown that it holds every one of them as it was dealt.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from itertools import combinations, islice
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from bzzzd.crypto import age
from bzzzd.crypto.keys import SEED_BYTES, SigningKey, key_text, remove_private, write_key
from bzzzd.crypto.shares import MAX_SHARES, Share, read_share, recover, share_text, split
from bzzzd.daemon.membership.members import Members
from bzzzd.errors import BadInput, BzzzError, GrantRefused, NotAllowed, NotFound
from bzzzd.identity.caller import Caller
from bzzzd.identity.grants import Name
from bzzzd.identity.node import NodeIdentity
from bzzzd.rpc.access import guest
from bzzzd.rpc.registry import NoParams, Registry
from bzzzd.rpc.session import Call

_SHARE_BYTES: Final = 32_768
_PROVED_SETS: Final = 64
_DIGEST: Final = r"^[0-9a-f]{64}\Z"
_AGE_HEAD: Final = b"age-encryption.org/"

ShareBytes = Annotated[bytes, Meta(max_length=_SHARE_BYTES)]


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class HolderParams(_Params, frozen=True):
    """``age`` is a recipient (age1…); without one, ``name`` is a node of the mesh, whose grant has it."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    age: Annotated[str, Meta(max_length=128)] | None = None


class SplitParams(_Params, frozen=True):
    """Any ``threshold`` of the holders' shares give the key back."""

    holders: Annotated[tuple[HolderParams, ...], Meta(min_length=2, max_length=MAX_SHARES)]
    threshold: Annotated[int, Meta(ge=2, le=MAX_SHARES)]


class RemoveParams(_Params, frozen=True):
    """``digests`` are SHA-256 (hex) of the shares that the caller has kept, in the order of the split."""

    digests: Annotated[tuple[Annotated[str, Meta(pattern=_DIGEST)], ...], Meta(max_length=MAX_SHARES)] = ()


class RecoverParams(_Params, frozen=True):
    """Shares as text, or as encrypted for this node."""

    shares: Annotated[tuple[ShareBytes, ...], Meta(min_length=1, max_length=MAX_SHARES)]


class ReleaseParams(_Params, frozen=True):
    """``share`` is one that this node holds; ``to`` is the node that puts the key together."""

    share: ShareBytes
    to: Name


class AuthorityDesk:
    """``path`` is the key's file; ``secret`` gives the node's age identity; ``tell(kind, fields)`` makes an event.

    ``recovered`` is called when the key has come back.
    """

    def __init__(
        self,
        identity: NodeIdentity,
        members: Members,
        path: Path,
        secret: str,
        *,
        tell: Callable[[str, dict[str, Any]], object],
        recovered: Callable[[], object],
    ) -> None:
        self._identity = identity
        self._members = members
        self._path = path
        self._secret = secret
        self._tell = tell
        self._when_recovered = recovered
        self._dealt: tuple[str, ...] = ()
        self._recovered = False

    async def split(self, call: Call, params: SplitParams) -> dict[str, Any]:
        """Split the authority's key; gives a share for each holder, encrypted, and keeps the key where it is."""
        self._check(call.caller)
        key = self._key()
        recipients = [self._recipient(holder) for holder in params.holders]
        shares = split(
            key.seed, f"the authority of mesh {self._identity.mesh_id}", [one.name for one in params.holders],
            params.threshold,
        )  # fmt: skip
        _prove(shares, key)
        data = [
            age.encrypt(share_text(share).encode("utf-8"), [recipient])
            for share, recipient in zip(shares, recipients, strict=True)
        ]
        self._dealt = tuple(hashlib.sha256(one).hexdigest() for one in data)
        detail = f"the authority's key was split: any {params.threshold} of {len(shares)} shares give it back"
        self._tell("authority_split", {"by": call.caller.id, "detail": detail})
        return {
            "mesh_id": self._identity.mesh_id, "authority": key_text(key.public), "threshold": params.threshold,
            "shares": [
                {"holder": share.holder, "index": share.index, "data": one}
                for share, one in zip(shares, data, strict=True)
            ],
        }  # fmt: skip

    def _recipient(self, holder: HolderParams) -> str:
        if holder.age is not None:
            age.check_recipient(holder.age)
            return holder.age
        key = self._members.holder("node", holder.name)
        if key is None:
            raise NotFound(
                f"no node of this mesh is called {holder.name} (bzzz mesh members); for somebody else name "
                f"their age recipient: {holder.name}=age1…"
            )
        recipient = self._members.grant_of(key).age
        if recipient is None:
            raise BadInput(f"the grant of {holder.name} names no age recipient; name one: {holder.name}=age1…")
        return recipient

    async def remove(self, call: Call, params: RemoveParams) -> dict[str, Any]:
        """Take the authority's key off this machine, once its shares are known to give it back."""
        self._check(call.caller)
        self._key()
        if not self._recovered and (not self._dealt or params.digests != self._dealt):
            raise BadInput(
                "the key stays: it is taken away only together with its shares, after they were written down "
                "(bzzz mesh authority split), or after it was recovered from them"
            )
        await asyncio.to_thread(remove_private, self._path)
        self._identity.authority_key = None
        self._dealt, self._recovered = (), False
        self._tell("authority_removed", {"by": call.caller.id, "detail": "the authority's key is off this machine"})
        return {"authority": key_text(self._identity.trust.authority)}

    async def recover(self, call: Call, params: RecoverParams) -> dict[str, Any]:
        """Put the authority's key together from shares and keep it on this machine."""
        self._check(call.caller)
        found = recover([self._open_nth(number, raw) for number, raw in enumerate(params.shares)])
        if len(found.secret) != SEED_BYTES:
            raise BadInput("these are not shares of an authority's key", reason="other")
        key = SigningKey.from_seed(found.secret)
        if key.public != self._identity.trust.authority:
            raise BadInput("these shares belong to the authority of another mesh than this node is in", reason="other")
        with suppress(FileExistsError):
            await asyncio.to_thread(write_key, self._path, key)
        self._identity.authority_key = key
        self._recovered = True
        self._when_recovered()
        self._tell("authority_recovered", {"by": call.caller.id, "detail": "the authority's key is on this machine"})
        return {"mesh_id": self._identity.mesh_id, "authority": key_text(key.public), "wrong": list(found.wrong)}

    def release(self, call: Call, params: ReleaseParams) -> dict[str, Any]:
        """Encrypt a share that this node holds for the node that puts the key together."""
        self._check(call.caller)
        recipient = self._recipient(HolderParams(name=params.to))
        share = self._open(params.share)
        return {
            "holder": share.holder,
            "data": age.encrypt(share_text(share).encode("utf-8"), [recipient]),
        }

    def show(self, call: Call, params: NoParams) -> dict[str, Any]:
        """Whose signature the mesh trusts, and whether its key is on this machine."""
        return {
            "mesh_id": self._identity.mesh_id, "authority": key_text(self._identity.trust.authority),
            "here": self._identity.authority_key is not None,
        }  # fmt: skip

    def _open_nth(self, number: int, raw: bytes) -> Share:
        try:
            return self._open(raw)
        except BadInput as error:
            raise BadInput(error.message, **error.data, share=number) from error

    def _open(self, raw: bytes) -> Share:
        if raw.startswith(_AGE_HEAD):
            try:
                raw = age.decrypt(raw, [self._secret])
            except NotAllowed:
                raise BadInput(
                    "a share is encrypted for another holder; have it opened there: bzzz mesh authority release FILE "
                    f"--to {self._identity.id} (or, with the holder's own key: age -d -i KEY FILE)",
                    reason="sealed",
                ) from None
        return read_share(raw.decode("utf-8", "replace"))

    def _key(self) -> SigningKey:
        key = self._identity.authority_key
        if key is None:
            raise GrantRefused(
                "the authority's key is not on this machine; put it together from its shares: "
                "bzzz mesh authority recover FILE…"
            )
        return key

    @staticmethod
    def _check(caller: Caller) -> None:
        if caller.kind != "admin" and caller.uid not in (0, os.geteuid()):
            raise NotAllowed(
                "the authority's key is handled by root or an administrator; use: sudo bzzz mesh authority"
            )

    def register(self, registry: Registry) -> None:
        registry.add(
            "mesh.authority_split", guest(), SplitParams, self.split, result="{mesh_id, authority, threshold, shares}"
        )
        registry.add("mesh.authority_remove", guest(), RemoveParams, self.remove, result="{authority}")
        registry.add(
            "mesh.authority_recover", guest(), RecoverParams, self.recover, result="{mesh_id, authority, wrong}"
        )
        registry.add("mesh.authority_release", guest(), ReleaseParams, self.release, result="{holder, data}")
        registry.add(
            "mesh.authority_show", guest(), NoParams, self.show, result="{mesh_id, authority, here}", reads=True
        )


def _prove(shares: list[Share], key: SigningKey) -> None:
    """Have many sets of just enough shares give the key back, or refuse to deal them."""
    threshold = shares[0].deal.threshold
    read = [read_share(share_text(share)) for share in shares]
    for some in islice(combinations(read, threshold), _PROVED_SETS):
        if recover(list(some)).secret != key.seed:
            raise BzzzError("the shares do not give the key back; nothing was changed, try again")
