"""Role secrets: one age identity per role and epoch, each in a file that only bzzzd can read.

Epochs are numbered for the whole mesh, so a version names one epoch for all its readers. A new
epoch gives every role a new identity; the old ones stay, to read what was encrypted before.
Content goes to them through an audience (``crypto/audience.py``), large content directly.
Files: ``<role>.<epoch>.age`` (0600) in one folder (0700), each one ``AGE-SECRET-KEY-1…`` line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from bzzzd.crypto import age
from bzzzd.crypto.audience import Audiences, has_audience
from bzzzd.errors import BadInput, NotAllowed
from bzzzd.storage.bulk import LARGE_BYTES, decrypt_large, encrypt_large
from bzzzd.storage.folder import prepare_folder

_FILE: Final = re.compile(r"(?P<role>[A-Za-z0-9_-]{1,64})\.(?P<epoch>[1-9][0-9]{0,8})\.age")


class RoleKeys:
    """The role secrets that this node holds. No secret appears in its ``repr`` or its errors."""

    def __init__(self, folder: Path, secrets: dict[tuple[str, int], str]) -> None:
        self._folder = folder
        self._secrets = secrets
        self._recipients = {place: age.recipient_of(secret) for place, secret in secrets.items()}
        self._audiences = Audiences()
        self.current = max((epoch for _, epoch in secrets), default=0)
        """The epoch in force; 0 while there is no role at all."""

    @classmethod
    def load_or_create(cls, folder: Path, roles: Sequence[str]) -> RoleKeys:
        """Read every identity in ``folder`` and make those that ``roles`` lack in the current epoch.

        Blocking (files are synced). Raises ``KeyExposed`` when others can read one, ``BadInput``
        when one is damaged, ``StorageFailed`` or ``DiskFull`` when the folder cannot be used.
        """
        prepare_folder(folder)
        secrets: dict[tuple[str, int], str] = {}
        for path in sorted(folder.iterdir()):
            name = _FILE.fullmatch(path.name)
            if name is not None:
                secrets[name["role"], int(name["epoch"])] = age.load_identity(path)
        keys = cls(folder, secrets)
        keys.add(roles)
        return keys

    def __repr__(self) -> str:
        return f"RoleKeys({self._folder}, epoch {self.current}, roles {sorted(self.roles)})"

    @property
    def roles(self) -> frozenset[str]:
        """The roles that content can be encrypted for now."""
        current = self.current
        return frozenset(role for role, epoch in self._secrets if epoch == current)

    def epoch(self, role: str) -> int:
        """The newest epoch in which ``role`` has a key; 0 when it has none."""
        return max((epoch for name, epoch in self._secrets if name == role), default=0)

    def add(self, roles: Iterable[str]) -> None:
        """Make identities in the current epoch for those of ``roles`` that have none there. Blocking."""
        self._make(max(self.current, 1), roles)

    def new_epoch(self) -> int:
        """Give every role a new identity, so that a member removed before reads nothing written after.

        Blocking. A crash half-way is mended by the next ``load_or_create``. Gives the new epoch's number.
        """
        epoch = self.current + 1
        self._make(epoch, sorted({role for role, _ in self._secrets}))
        return epoch

    def _make(self, epoch: int, roles: Iterable[str]) -> None:
        for role in roles:
            if (role, epoch) in self._secrets:
                continue
            name = f"{role}.{epoch}.age"
            if _FILE.fullmatch(name) is None:
                raise BadInput(f"{role[:80]!r} is not a role name: 1 to 64 of A-Z a-z 0-9 _ -")
            path = self._folder / name
            # A file that somebody else has just made wins: there is one key for each role and epoch.
            secret = age.load_or_create_identity(path)
            self._secrets[role, epoch] = secret
            self._recipients[role, epoch] = age.recipient_of(secret)
            self.current = max(self.current, epoch)

    def recipients(self, roles: Iterable[str], epoch: int | None = None) -> list[str]:
        """The public keys (age1…) of ``roles`` in ``epoch``, or now; ``BadInput`` for one without a key."""
        number = self.current if epoch is None else epoch
        found = []
        for role in roles:
            recipient = self._recipients.get((role, number))
            if recipient is None:
                raise BadInput(
                    f"role {role[:80]!r} has no key in epoch {number}; roles with one: "
                    f"{', '.join(sorted(name for name, at in self._secrets if at == number)) or 'none'}",
                    role=role[:80],
                    epoch=number,
                )
            found.append(recipient)
        return found

    def identities(self, roles: Iterable[str] | None = None, epoch: int | None = None) -> list[str]:
        """The secrets held for ``roles`` (all) in ``epoch`` (all, newest first)."""
        if roles is not None and epoch is not None:
            return [secret for role in roles if (secret := self._secrets.get((role, epoch))) is not None]
        wanted = None if roles is None else set(roles)
        places = [
            place
            for place in self._secrets
            if (wanted is None or place[0] in wanted) and (epoch is None or place[1] == epoch)
        ]
        return [self._secrets[place] for place in sorted(places, key=lambda place: (-place[1], place[0]))]

    def encrypt(self, roles: Iterable[str], data: bytes, epoch: int | None = None) -> bytes:
        """Encrypt so that each of ``roles`` can read; in a thread, please, when over ``LARGE_BYTES``."""
        recipients = self.recipients(roles, epoch)
        if len(data) > LARGE_BYTES:  # what the recipients cost is nothing beside the data
            return encrypt_large(data, recipients)
        return self._audiences.encrypt(data, recipients)

    def decrypt(self, data: bytes, roles: Iterable[str] | None = None, epoch: int | None = None) -> bytes:
        """Decrypt with a secret of ``roles`` in ``epoch``; ``NotAllowed`` when this node holds none that fits.

        Naming both saves time: identities are tried in turn, at 0.1 ms for each recipient of the content.
        """
        held = self.identities(roles, epoch)
        if not held:
            raise NotAllowed("this node holds no key of the roles that may read this content", epoch=epoch)
        if has_audience(data):
            return self._audiences.decrypt(data, held)
        return age.decrypt(data, held) if len(data) <= LARGE_BYTES else decrypt_large(data, held)
