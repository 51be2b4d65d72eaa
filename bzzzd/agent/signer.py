"""The agent's signature: who it is, and everything that it signs. Its key never leaves this object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from bzzzd.crypto.envelope import open_envelope
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import UNREADABLE, BzzzError
from bzzzd.identity.attach import attach_params
from bzzzd.identity.grants import Grant
from bzzzd.identity.node import read_grants
from bzzzd.slurp.brief import Writer, decision_address
from bzzzd.slurp.commands import Command, new_command_id, seal_command


class Signer:
    """One agent in one mesh.

    ``mesh_id``, ``role`` and ``capabilities`` are what bzzzd said at the last attach; before it, what
    the configuration asks for. ``chain`` is the grant chain in hand: from a file, or the node's.
    """

    def __init__(
        self,
        key: SigningKey,
        id: str,
        role: str,
        *,
        wall: Callable[[], float],
        chain: Sequence[bytes] = (),
        version: str = "",
    ) -> None:
        self._key = key
        self._asked_role = role
        self._wall = wall
        self._version = version
        self.id = id
        self.role = role
        self.capabilities: tuple[str, ...] = ()
        self.mesh_id = ""
        self.chain = tuple(chain)

    def attach(self, nonce: bytes, mesh_id: str, capabilities: Sequence[str], slots: int) -> dict[str, Any]:
        """The parameters of ``session.attach`` for this nonce, asking for ``slots`` tasks of ``capabilities``."""
        if self.mesh_id not in ("", mesh_id):
            self.chain = ()  # the node has joined another mesh, where the old grant says nothing
        self.mesh_id = mesh_id
        return attach_params(
            self._key, nonce, mesh_id, kind="agent", id=self.id, role=self._asked_role, capabilities=capabilities,
            slots=slots, chain=self.chain, version=self._version,
        )  # fmt: skip

    def attached(self, answer: Mapping[str, Any]) -> None:
        """Take over what bzzzd made of the attach."""
        caller = answer["caller"]
        self.role = str(caller["role"])
        self.capabilities = tuple(sorted(str(name) for name in caller["capabilities"]))
        if answer.get("chain"):
            self.chain = tuple(answer["chain"])

    def renew_in_s(self) -> float | None:
        """Seconds until the grant in hand has only half of its time left; ``None`` without one."""
        if not self.chain:
            return None
        envelope = open_envelope(self.chain[0], kind="grant", mesh_id=self.mesh_id)
        grant = msgspec.msgpack.decode(envelope.payload, type=Grant)
        return max(0.0, (grant.not_before + grant.not_after) / 2 - self._wall())

    def command(self, kind: type[Command], task: str, *, at: float | None = None, **fields: Any) -> bytes:
        """A signed command about ``task`` with a fresh id, dated ``at`` (now); sent again, it is the same bytes."""
        now = self._wall() if at is None else at
        return seal_command(self._key, self.mesh_id, kind(id=new_command_id(now), task=task, at=now, **fields))

    def writer(self, epoch: int) -> Writer:
        return Writer(self._key, self.mesh_id, self.id, self.role, epoch)

    def address(self, project: str, task: str, path: str) -> str:
        """Where this agent writes about ``task``: its decision, or another ``path`` beside it."""
        decision = decision_address(self.id, self.role, project, task)
        return decision if path == "decision" else f"{decision.removesuffix('decision')}{path}"


def chain_from(folder: Any, public: bytes) -> tuple[bytes, ...]:
    """The grant chain in ``folder`` that was made for the key ``public``; empty without one.

    Whether it holds is bzzzd's to say. Raises ``BadInput`` or ``KeyExposed`` for files that cannot be used.
    """
    for _, file in read_grants(folder):
        leaf = _leaf(file.chain)
        if leaf is not None and leaf.key == public:
            return file.chain
    return ()


def _leaf(chain: Sequence[bytes]) -> Grant | None:
    """The grant that a chain begins with, as it stands there; ``None`` for one that cannot be read."""
    try:
        wire = msgspec.msgpack.decode(chain[0], type=tuple[int, str, str, bytes, bytes, bytes])
        open_envelope(chain[0], kind="grant", mesh_id=wire[2])
        return msgspec.msgpack.decode(wire[4], type=Grant)
    except (BzzzError, *UNREADABLE, IndexError):
        return None
