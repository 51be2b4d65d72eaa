"""What the doctor looks at on a node: keys, grants, clock, disk, people, sockets."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Final

from bzzzd.config.settings import Settings
from bzzzd.crypto.keys import check_private
from bzzzd.daemon.checks.finding import Finding
from bzzzd.daemon.identity import IdentityService
from bzzzd.daemon.peers.peering import Peering
from bzzzd.errors import KeyExposed

_LOW_DISK_BYTES: Final = 500 * 1024**2
_DAY_S: Final = 86400.0
_UNPROTECTED: Final = (
    "daemon, agents and people share one uid here: any process of that user can read the person's key and answer in "
    "their name"
)


def warnings(settings: Settings) -> list[str]:
    """What status shows all the time."""
    return (
        [f"approvals are not protected from local agents: {_UNPROTECTED}"]
        if settings.config.security.development
        else []
    )


class Checkup:
    def __init__(self, settings: Settings, identity: IdentityService, peering: Peering) -> None:
        self._settings = settings
        self._identity = identity
        self._peering = peering

    def keys(self) -> list[Finding]:
        """Key files that others could read."""
        found: list[Finding] = []
        for path in self._identity.key_files():
            try:
                check_private(path)
            except KeyExposed as error:
                found.append(("bad", f"key {path.name}", error.message, f"chmod 600 '{path}'"))
        return found or [("ok", "keys", "all private", "")]

    def grants(self) -> list[Finding]:
        """How long the node's own grant holds."""
        grant, now = self._identity.node.grant, self._identity.clock()
        if self._identity.node.trust.revocations.removed(grant.key):
            fix = "ask an administrator of the mesh; to come back it needs a new key and an invitation"
            return [("bad", f"grant of node {grant.id}", "this node was revoked: no member speaks with it", fix)]
        return [grant_ends(grant.id, grant.not_after, now), *self._delegations(now), *self._twice()]

    def _delegations(self, now: float) -> list[Finding]:
        """Administrators whose delegation ends within 14 days: it does not renew itself."""
        return [
            (
                "warn", f"administrator {entry.grant.id}",
                f"the delegation ends in {max(0.0, entry.grant.not_after - now) / _DAY_S:.0f} days",
                f"renew it where the authority's key is: sudo bzzz mesh admin add {entry.grant.id}",
            )
            for entry in self._identity.members.ending(now)
        ]  # fmt: skip

    def _twice(self) -> list[Finding]:
        """Agents of one id on several nodes, which granted it apart from each other."""
        members, found = self._identity.members, []
        for id, entries in sorted(members.twice().items()):
            nodes = ", ".join(members.signer(entry.grant.issuer) for entry in entries)
            fix = (
                "give one of them another agent.id and restart it; revoke the key of one that is gone: bzzz mesh "
                f"revoke {' or '.join(entry.grant.key.hex() for entry in entries)}"
            )
            found.append(("warn", f"agent {id}", f"several members of the mesh granted this id: {nodes}", fix))
        return found

    def revocations(self) -> list[Finding]:
        """Whether somebody has lately confirmed who is revoked."""
        if self._identity.charter.fresh():
            return [("ok", "revocations", f"list {self._identity.node.trust.revocations.number}, confirmed", "")]
        fix = "connect this node (bzzz peers), or revoke the nodes that are gone for good (bzzz mesh revoke ID)"
        return [("warn", "revocations", "no member has confirmed the list lately; high-risk actions are refused", fix)]

    def machine(self) -> list[Finding]:
        """Disk space and clock."""
        free = shutil.disk_usage(self._settings.state_dir).free
        level = "ok" if free > _LOW_DISK_BYTES else "bad"
        fix = "" if level == "ok" else "free some space: nothing can be accepted on a full disk"
        found: list[Finding] = [(level, "disk", f"{free // 1024**2} MiB free under {self._settings.state_dir}", fix)]
        written = Path(__file__).stat().st_mtime
        if time.time() < written - _DAY_S:
            found.append(
                ("bad", "clock", "it is earlier than this program's own files", "set it: timedatectl set-ntp true")
            )
        else:
            found.append(("ok", "clock", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()), ""))
        return found

    def separation(self) -> list[Finding]:
        """Whether approvals are protected from local agents."""
        if self._settings.config.security.development:
            return [("warn", "uids", _UNPROTECTED, "for real use install the services, each with a user of its own")]
        return [("ok", "uids", f"bzzzd runs as uid {os.geteuid()} alone", "")]

    def mesh(self) -> list[Finding]:
        """Peers that are configured and not there."""
        found: list[Finding] = []
        for peer in self._peering.peers():
            if not peer.connected:
                found.append(
                    (
                        "warn", f"peer {peer.id or peer.peer_id}", f"not reached at {', '.join(peer.addresses)}",
                        "check that bzzzd runs there, that the port is open, and that both have grants of one mesh",
                    )
                )  # fmt: skip
        return found or [("ok", "mesh", f"listening on {', '.join(self._peering.mesh.addresses)}", "")]


def grant_ends(node: str, not_after: float, now: float) -> Finding:
    """How long a grant still holds."""
    what, left = f"grant of node {node}", not_after - now
    if left < 0:
        fix = f"an administrator runs bzzz mesh renew {node} on another node; this one gets it while it joins"
        return ("bad", what, "it has expired", fix)
    if left < 14 * _DAY_S:
        fix = (
            "it renews itself while a node with the authority's key is reached; where there is none, an administrator "
            f"runs: bzzz mesh renew {node}"
        )
        return ("warn", what, f"it ends in {left / _DAY_S:.1f} days", fix)
    return ("ok", what, f"valid for {left / _DAY_S:.0f} days", "")
