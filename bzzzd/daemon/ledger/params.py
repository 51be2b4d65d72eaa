"""Parameters that methods about tasks and prompts share: a signed command, alone or with the version that it names."""

from __future__ import annotations

from msgspec import Struct


class _Params(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class CommandParams(_Params, frozen=True):
    """``envelope`` is a signed command (kind ``command``)."""

    envelope: bytes


class VersionedParams(_Params, frozen=True):
    """A signed command with the version that it names: signed header and plaintext."""

    envelope: bytes
    version: bytes
    content: bytes


class OptionalVersionParams(_Params, frozen=True):
    """As ``VersionedParams``; a command that names no version leaves both out."""

    envelope: bytes
    version: bytes | None = None
    content: bytes | None = None
