"""Who this node is, for the rest of the daemon: identity, policy, role keys, members; read or made at the start."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

import structlog

from bzzzd.config.settings import Settings
from bzzzd.crypto import age
from bzzzd.daemon.membership.charter import Charter
from bzzzd.daemon.membership.member_log import MemberLog
from bzzzd.daemon.membership.members import Members
from bzzzd.daemon.membership.people import People
from bzzzd.daemon.membership.policies import Policies
from bzzzd.errors import BzzzError
from bzzzd.identity.charter import Paper, seal_document
from bzzzd.identity.epoch import open_epoch, read_epoch
from bzzzd.identity.node import NodeIdentity, load_or_found
from bzzzd.identity.switch import carry_out
from bzzzd.runtime.services import Health
from bzzzd.slurp.coordinator import FIRST, Coordinator, read_coordinator
from bzzzd.storage.versions.rolekeys import RoleKeys

# Levels at which a role is an agent's: what a node lets itself grant without asking anybody.
_AGENT_LEVELS: Final = frozenset({"coordination", "suggestion", "read_only"})


class IdentityService:
    """Made empty; after ``start`` every part is there."""

    name = "identity"
    depends = ("rpc",)

    node: NodeIdentity
    charter: Charter
    members: Members
    member_log: MemberLog
    policies: Policies
    age_secret: str
    """The node's X25519 identity, ``AGE-SECRET-KEY-1…``: what other nodes encrypt role secrets to."""
    rolekeys: RoleKeys

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def clock(self) -> float:
        """Unix time in seconds, never earlier than the newest that the mesh's administration has signed."""
        return self.charter.now()

    async def start(self) -> None:
        # Keys are made and synced to disk at the first start, so not on the loop.
        await asyncio.to_thread(self._load)

    async def stop(self) -> None:
        """Nothing is held open."""

    def health(self) -> Health:
        return Health(detail=f"{self.node.id} in mesh {self.node.mesh_id}")

    def _load(self) -> None:
        settings, now = self._settings, time.time()
        keys = settings.state_dir / "keys"
        carry_out(settings.state_dir, settings.grants_dir, (settings.key_file, keys / "node.age"))
        agent_roles = [
            name for name, rule in settings.roles.roles.items() if rule.authority in _AGENT_LEVELS and name != "node"
        ]
        self.age_secret = age.load_or_create_identity(keys / "node.age")
        self.node = node = load_or_found(
            settings.key_file, keys / "authority.key", settings.grants_dir, node_id=settings.config.agent.id,
            age=age.recipient_of(self.age_secret), agent_roles=agent_roles, now=now,
        )  # fmt: skip
        people = People(settings.state_dir / "people.json")
        people.load()
        folder = settings.state_dir / "charter"
        self.charter = Charter(
            folder, node.trust, max_age_s=settings.config.security.revocation_max_age_s,
            chain_of=lambda key: self.members.admin_chain(key), alone=lambda: self.members.alone,
        )  # fmt: skip
        self.policies = Policies(self.charter, folder / "roles.applied", node.mesh_id, settings.roles)
        self.charter.check_with("epoch", lambda document: read_epoch(document.payload))
        self.charter.check_with("coordinator", lambda document: read_coordinator(document.payload))
        self.charter.load()
        if node.authority_key is not None and self.charter.current("coordinator") is None:
            # The mesh's first node keeps its ledger until an administrator says otherwise.
            first = Coordinator(number=FIRST, at=now, node=node.key.public)
            self.charter.enter(Paper(seal_document(node.authority_key, "coordinator", node.mesh_id, first)))
        self.policies.load(node.authority_key, self.clock())
        self.members = Members(
            node, lambda: self.policies.current, settings.config.security, people, settings.grants_dir,
            own_uid=os.geteuid(), clock=self.clock,
        )  # fmt: skip
        self.members.load()
        self.member_log = MemberLog(settings.state_dir / "members.log")
        self.member_log.load(self.members.recall)
        # From the first peer on: the mesh runs before what tells others of members does.
        self.members.heard_by(lambda entry, renewed: self.member_log.note(entry.chain))
        self.charter.fresh()
        self.rolekeys = (
            RoleKeys.load(keys / "roles", node.mesh_id)
            if node.authority_key is None
            else RoleKeys.found(keys / "roles", node.mesh_id, node.authority_key, self.policies.current.roles, now)
        )
        self._settle_epoch()

    def _settle_epoch(self) -> None:
        """Have charter and role keys agree on the epoch: its secrets are written down before the charter has it."""
        standing, best = self.charter.current("epoch"), next(iter(self.rolekeys.epochs), None)
        if best is not None and (standing is None or best.rank < standing.rank):
            try:
                self.charter.enter(Paper(best.raw, tuple(self.members.admin_chain(best.author))))
            except BzzzError as error:
                structlog.get_logger().warning("an epoch that was begun here does not hold", why=error)
            standing = self.charter.current("epoch")
        if standing is not None:
            self.rolekeys.enforce(open_epoch(standing.raw, self.node.mesh_id))

    def key_files(self) -> list[Path]:
        """Files that must stay private, for the doctor."""
        keys = self._settings.state_dir / "keys"
        found = dict.fromkeys((*keys.glob("*.key"), *keys.glob("**/*.age"), self._settings.key_file))
        return [path for path in found if path.exists()]
