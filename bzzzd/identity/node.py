"""A node's own identity on disk: its key, its mesh's authority, and the grant that makes it a member.

    STATE/keys/node.key        the node's Ed25519 key, made at first start
    STATE/keys/node.age        its X25519 identity, made with it: what role secrets are encrypted to
    STATE/keys/authority.key   only where this node founded its mesh (and has not given it away)
    GRANTS/*.grant             grants, one chain a file; the one for the node's key names its mesh

A node without a grant founds a mesh of its own: it makes an authority and grants itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bzzzd.crypto.keys import SigningKey, load_key, load_or_create_key, read_private, write_private
from bzzzd.errors import UNREADABLE, BadInput, GrantRefused
from bzzzd.identity.grants import Grant, Key, Trust, issue, mesh_id_of

YEAR_S: Final = 365 * 86400.0
# A founder's own grant outlives any planned rotation: renewing it needs the authority, which may be away.
FOUNDER_VALIDITY_S: Final = 10 * YEAR_S
_MAX_GRANT_FILES: Final = 4096


class GrantFile(Struct, frozen=True, forbid_unknown_fields=True):
    """A grant as it lies on disk: the authority it leads to, and the chain, leaf first."""

    authority: Key
    chain: tuple[bytes, ...]


_DECODER: Final = msgspec.msgpack.Decoder(GrantFile)


class NodeIdentity:
    """One node in its mesh. ``authority_key`` is ``None`` where the authority is held elsewhere."""

    def __init__(
        self, key: SigningKey, trust: Trust, chain: Sequence[bytes], grant: Grant, authority_key: SigningKey | None
    ) -> None:
        self.key = key
        self.trust = trust
        self.chain = tuple(chain)
        self.grant = grant
        self.authority_key = authority_key

    @property
    def id(self) -> str:
        return self.grant.id

    @property
    def mesh_id(self) -> str:
        return self.trust.mesh_id


def read_grants(folder: Path) -> Iterator[tuple[Path, GrantFile]]:
    """Every grant file of ``folder``; one that is damaged or exposed raises with its path."""
    if not folder.is_dir():
        return
    for path in sorted(folder.glob("*.grant"))[:_MAX_GRANT_FILES]:
        try:
            yield path, _DECODER.decode(read_private(path))
        except UNREADABLE as error:
            raise BadInput(
                f"the grant file {path} is damaged; take it away or restore it, then start again", path=str(path)
            ) from error


def write_grant(folder: Path, name: str, authority: bytes, chain: Sequence[bytes]) -> Path:
    """Keep a chain as ``NAME.grant``, replacing an older one of the same name."""
    path = folder / f"{name}.grant"
    write_private(path, msgspec.msgpack.encode(GrantFile(authority, tuple(chain))), replace=True)
    return path


def next_serial() -> int:
    """A serial that rises with every grant of an issuer, also across restarts."""
    return time.time_ns()


def make_grant(
    issuer: SigningKey,
    mesh_id: str,
    *,
    kind: str,
    id: str,
    key: bytes,
    role: str,
    valid_s: float,
    now: float,
    capabilities: Sequence[str] = (),
    may_grant: Sequence[str] = (),
    max_validity_s: float = 0.0,
    age: str | None = None,
) -> bytes:
    """Issue a grant from ``now`` for ``valid_s`` seconds; wrong names raise ``BadInput``."""
    try:
        grant = msgspec.convert(
            {
                "kind": kind, "id": id, "mesh_id": mesh_id, "key": key, "role": role, "age": age,
                "capabilities": tuple(capabilities), "serial": next_serial(), "not_before": now,
                "not_after": now + valid_s, "issuer": issuer.public, "may_grant": tuple(may_grant),
                "max_validity_s": max_validity_s,
            },
            Grant,
        )  # fmt: skip
    except msgspec.ValidationError as error:
        raise BadInput(f"this cannot be granted to {id!r}: {error}") from error
    return issue(issuer, grant)


def load_or_found(
    key_file: Path,
    authority_file: Path,
    grants: Path,
    *,
    node_id: str,
    age: str | None,
    agent_roles: Sequence[str],
    now: float,
) -> NodeIdentity:
    """Read who this node is, or make it: key, and without any grant an authority and mesh of its own.

    ``age`` is the recipient of the node's X25519 identity (``crypto.age`` reads and makes the file),
    which a founder's grant carries; ``agent_roles`` are the roles a founder lets itself grant to its
    agents. Raises ``KeyExposed``, ``BadInput`` and ``GrantRefused``; nothing is overwritten.
    """
    key = load_or_create_key(key_file)
    own = [file for _, file in read_grants(grants) if _leaf_is_for(file, key.public)]
    if own:
        refused: GrantRefused | None = None
        for file in own:
            trust = Trust(mesh_id_of(file.authority), file.authority)
            try:
                grant = trust.admit(file.chain, now=now)
            except GrantRefused as error:
                refused = error
                continue
            return NodeIdentity(key, trust, file.chain, grant, _authority_key(authority_file, file.authority))
        assert refused is not None
        ended = _ended(key, own, authority_file, now)
        if ended is None:
            raise refused
        return ended
    authority = load_or_create_key(authority_file)
    mesh_id = mesh_id_of(authority.public)
    raw = make_grant(
        authority, mesh_id, kind="node", id=node_id, key=key.public, role="node", valid_s=FOUNDER_VALIDITY_S, now=now,
        age=age, may_grant=agent_roles, max_validity_s=FOUNDER_VALIDITY_S,
    )  # fmt: skip
    write_grant(grants, "node", authority.public, [raw])
    trust = Trust(mesh_id, authority.public)
    return NodeIdentity(key, trust, [raw], trust.admit([raw], now=now), authority)


def _ended(key: SigningKey, files: Sequence[GrantFile], authority_file: Path, now: float) -> NodeIdentity | None:
    """Who a node was until its grant ended: it starts, is given nothing but a newer grant, and asks for that."""
    for file in files:
        trust = Trust(mesh_id_of(file.authority), file.authority)
        try:
            grants = trust.links(file.chain)
        except GrantRefused:
            continue
        if any(now > grant.not_after for grant in grants):
            return NodeIdentity(key, trust, file.chain, grants[0], _authority_key(authority_file, file.authority))
    return None


def _leaf_is_for(file: GrantFile, public: bytes) -> bool:
    try:
        grant = Trust(mesh_id_of(file.authority), file.authority).read_leaf(file.chain)
    except BadInput:
        return False
    return grant.kind == "node" and grant.key == public


def _authority_key(path: Path, authority: bytes) -> SigningKey | None:
    if not path.exists():
        return None
    key = load_key(path)
    return key if key.public == authority else None
