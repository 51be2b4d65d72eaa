"""Role secrets: one age identity per role and epoch, each in a file that only bzzzd can read.

Epochs (``identity/epoch.py``) are the mesh's, so content that names one names the keys of all its
readers, and every node can encrypt for every role. What a node can read depends on the secrets that it
holds: those of the roles that it is entitled to. Content goes to the roles of the epoch in force
through an audience (``crypto/audience.py``), large content directly.

    <number>.<digest>.epoch             a signed epoch that is or was in force
    <role>.<number>.<of what>.age       a role's secret (0600), one ``AGE-SECRET-KEY-1…`` line

A secret counts where an epoch names its public half, whatever its file is called.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bzzzd.crypto import age
from bzzzd.crypto.audience import Audiences, has_audience
from bzzzd.crypto.keys import SigningKey, read_private, write_private
from bzzzd.errors import BadInput, BzzzError, InvalidEnvelope, NoRoleKey, NotAllowed, NotReady
from bzzzd.identity.epoch import EPOCH_LIMIT, Epoch, EpochRecord, open_epoch, seal_epoch
from bzzzd.storage.folder import prepare_folder
from bzzzd.storage.versions.bulk import LARGE_BYTES, decrypt_large, encrypt_large

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


def recovery_of(authority: SigningKey) -> str:
    """The secret of the recovery key: made from the authority's key, so that what splits that one splits this one."""
    return age.identity_of(hashlib.blake2b(authority.seed, digest_size=32, person=b"bzzz recovery 1").digest())


class Secret(NamedTuple):
    """A role's secret in the newest epoch that has it."""

    role: str
    epoch: Epoch
    secret: str


class Missing(NamedTuple):
    """A secret that an epoch has and this node does not."""

    role: str
    number: int
    recipient: str


class RoleKeys:
    """The epochs that this node knows and the secrets that it holds. No secret appears in a ``repr`` or an error.

    ``enforce``, ``keep``, ``adopt`` and ``add`` write files; one of them at a time may run in a thread,
    while the loop reads.
    """

    def __init__(self, folder: Path, mesh_id: str, epochs: Iterable[Epoch] = (), secrets: Iterable[str] = ()) -> None:
        self._folder = folder
        self._mesh_id = mesh_id
        self._epochs: tuple[Epoch, ...] = tuple(sorted(epochs, key=lambda epoch: epoch.rank))
        self._secrets = {age.recipient_of(secret): secret for secret in secrets}
        self._audiences = Audiences()
        self.epoch: Epoch | None = self._epochs[0] if self._epochs else None
        """The epoch in force; ``None`` until this node has heard of one."""

    @classmethod
    def load(cls, folder: Path, mesh_id: str) -> RoleKeys:
        """Read what lies in ``folder``; the best epoch there is in force until the charter says otherwise.

        Blocking (files are synced). Raises ``KeyExposed`` when others can read one, ``StorageFailed``
        when one is damaged or the folder cannot be used.
        """
        prepare_folder(folder)
        epochs = []
        for path in sorted(folder.glob("*.epoch")):
            try:
                epochs.append(open_epoch(read_private(path, EPOCH_LIMIT), mesh_id))
            except InvalidEnvelope:  # of another mesh, which this node was in before
                continue
        named = {recipient for epoch in epochs for recipient in epoch.record.recipients.values()}
        secrets = (age.load_identity(path) for path in sorted(folder.glob("*.age")))
        return cls(folder, mesh_id, epochs, [secret for secret in secrets if age.recipient_of(secret) in named])

    @classmethod
    def found(cls, folder: Path, mesh_id: str, authority: SigningKey, roles: Sequence[str], now: float) -> RoleKeys:
        """``load``, and as the mesh's authority give ``roles`` keys: epoch 1, or one more for new roles.

        Blocking. Raises as ``load`` does, and ``BadInput`` for names that no role may have.
        """
        keys = cls.load(folder, mesh_id)
        known = keys.epoch.record.recipients if keys.epoch is not None else {}
        if any(role not in known for role in roles):
            recovery = age.recipient_of(recovery_of(authority))
            record, secrets = keys.next(roles, now=now, renew=False, recovery=recovery)
            keys.enforce(keys.keep(seal_epoch(authority, mesh_id, record), secrets))
        return keys

    def __repr__(self) -> str:
        return f"RoleKeys({self._folder}, epoch {self.current}, holds {sorted(self.held())})"

    # Epochs.

    @property
    def current(self) -> int:
        """The number of the epoch in force; 0 while there is none."""
        return self.epoch.number if self.epoch is not None else 0

    @property
    def tag(self) -> bytes:
        """What content that is encrypted now is marked with."""
        return self.epoch.tag if self.epoch is not None else b""

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """Every epoch known here, newest first."""
        return self._epochs

    @property
    def roles(self) -> frozenset[str]:
        """The roles that content can be encrypted for now."""
        return frozenset(self.epoch.record.recipients) if self.epoch is not None else frozenset()

    def held(self, number: int | None = None) -> frozenset[str]:
        """The roles whose secret of epoch ``number`` (the one in force) is here."""
        wanted = self.current if number is None else number
        return frozenset(
            role
            for epoch in self._epochs
            if epoch.number == wanted
            for role, recipient in epoch.record.recipients.items()
            if recipient in self._secrets
        )

    def next(
        self,
        roles: Iterable[str],
        *,
        now: float,
        renew: bool = True,
        revocations: int = 0,
        earlier: bool | None = None,
        recovery: str | None = None,
    ) -> tuple[EpochRecord, list[str]]:
        """The epoch after the one in force, to be signed, and its new secrets; nothing is kept yet.

        Without ``renew`` only roles that have no key get one. ``recovery`` replaces the recipient that
        the secrets held here are also encrypted to; without it that of the epoch before stays.
        """
        before = self.epoch.record if self.epoch is not None else None
        recipients = dict(before.recipients) if before is not None and not renew else {}
        secrets = []
        for role in sorted({*roles, *(before.recipients if before is not None else ())} - set(recipients)):
            if _NAME.fullmatch(role) is None:
                raise BadInput(f"{role[:80]!r} is not a role name: 1 to 64 of A-Z a-z 0-9 _ -")
            secrets.append(age.new_identity())
            recipients[role] = age.recipient_of(secrets[-1])
        keeper = recovery or (before.recovery if before is not None else None)
        lines = "".join(f"{secret}\n" for secret in (*secrets, *self._secrets.values()))
        return (
            EpochRecord(
                number=self.current + 1, at=now, recipients=recipients, revocations=revocations,
                previous=self.epoch.digest if self.epoch is not None else None,
                earlier=earlier if earlier is not None else before is None or before.earlier,
                recovery=keeper, kept=age.encrypt(lines.encode("ascii"), [keeper]) if keeper else b"",
            ),
            secrets,
        )  # fmt: skip

    def keep(self, raw: bytes, secrets: Iterable[str] = ()) -> Epoch:
        """Write an epoch and secrets of it down, durably; it is not in force yet."""
        epoch = open_epoch(raw, self._mesh_id)
        own = set(epoch.record.recipients.values())
        chosen = [(age.recipient_of(secret), secret) for secret in secrets]
        self._write(epoch, [pair for pair in chosen if pair[0] in own])
        if all(known.digest != epoch.digest for known in self._epochs):
            path = self._folder / f"{epoch.number}.{epoch.digest.hex()[:16]}.epoch"
            write_private(path, raw, replace=True)
            self._epochs = tuple(sorted((*self._epochs, epoch), key=lambda known: known.rank))
        return epoch

    def enforce(self, epoch: Epoch) -> None:
        """From now on content is encrypted for the roles of ``epoch``, which the charter has put in force."""
        self.epoch = self.keep(epoch.raw)

    def adopt(self, raw: bytes) -> bool:
        """Keep an earlier epoch that another node gave, if one known here names it as the one before it."""
        digest = hashlib.sha256(raw).digest()
        if digest not in self.unknown():
            return False
        self.keep(raw)
        return True

    def unknown(self) -> frozenset[bytes]:
        """The digests of epochs that known ones follow, and that are not here."""
        known = {epoch.digest for epoch in self._epochs}
        named = {epoch.record.previous for epoch in self._epochs if epoch.record.previous is not None}
        return frozenset(named - known)

    # Secrets.

    def missing(self, roles: Iterable[str]) -> list[Missing]:
        """The secrets of ``roles`` that known epochs have and this node does not, newest first."""
        wanted, found, seen = set(roles), [], set(self._secrets)
        for epoch in self._epochs:
            for role, recipient in sorted(epoch.record.recipients.items()):
                if role in wanted and recipient not in seen:
                    seen.add(recipient)
                    found.append(Missing(role, epoch.number, recipient))
        return found

    def secret(self, recipient: str) -> Secret | None:
        """The secret whose public half is ``recipient``, where it is held."""
        secret = self._secrets.get(recipient)
        if secret is None:
            return None
        for epoch in self._epochs:
            for role, named in epoch.record.recipients.items():
                if named == recipient:
                    return Secret(role, epoch, secret)
        return None

    def add(self, secrets: Iterable[str]) -> list[Missing]:
        """Keep those of ``secrets`` that a known epoch names; gives what was new. Others are dropped."""
        places = {
            recipient: Missing(role, epoch.number, recipient)
            for epoch in self._epochs
            for role, recipient in epoch.record.recipients.items()
        }
        added = []
        for secret in secrets:
            recipient = age.recipient_of(secret)
            place = places.get(recipient)
            if place is not None and recipient not in self._secrets:
                self._write_secret(place.role, place.number, recipient, secret)
                added.append(place)
        return added

    def kept_for(self, identity: str) -> list[str]:
        """The secrets that known epochs keep for the recovery key whose secret ``identity`` is."""
        found: list[str] = []
        for epoch in self._epochs:
            if epoch.record.kept and epoch.record.recovery == age.recipient_of(identity):
                try:
                    text = age.decrypt(epoch.record.kept, [identity]).decode("ascii")
                    found.extend(secret for secret in text.split() if age.recipient_of(secret))
                except (NotAllowed, BadInput, UnicodeDecodeError):  # its signer put something else there
                    continue
        return found

    def _write(self, epoch: Epoch, chosen: Iterable[tuple[str, str]]) -> None:
        roles = {recipient: role for role, recipient in epoch.record.recipients.items()}
        for recipient, secret in chosen:
            self._write_secret(roles[recipient], epoch.number, recipient, secret)

    def _write_secret(self, role: str, number: int, recipient: str, secret: str) -> None:
        short = hashlib.sha256(recipient.encode("ascii")).hexdigest()[:8]
        age.write_identity(self._folder / f"{role}.{number}.{short}.age", secret)
        self._secrets = {**self._secrets, recipient: secret}

    # Content.

    def recipients(self, roles: Iterable[str], epoch: Epoch | None = None) -> list[str]:
        """The public keys (age1…) of ``roles`` in ``epoch``, or now; ``BadInput`` for one without a key."""
        at = epoch or self.epoch
        if at is None:
            raise NotReady(
                "this node has not heard of the mesh's role keys yet, so nothing can be encrypted here; "
                "it asks every member that it meets: see bzzz peers"
            )
        found = []
        for role in roles:
            recipient = at.record.recipients.get(role)
            if recipient is None:
                raise BadInput(
                    f"role {role[:80]!r} has no key in epoch {at.number}; an administrator gives it one: "
                    f"bzzz mesh epoch new; roles with one: {', '.join(sorted(at.record.recipients))}",
                    role=role[:80],
                    epoch=at.number,
                )
            found.append(recipient)
        return found

    def encrypt(self, roles: Iterable[str], data: bytes, epoch: Epoch | None = None) -> bytes:
        """Encrypt so that each of ``roles`` can read; in a thread, please, when over ``LARGE_BYTES``."""
        recipients = self.recipients(roles, epoch)
        if len(data) > LARGE_BYTES:  # what the recipients cost is nothing beside the data
            return encrypt_large(data, recipients)
        return self._audiences.encrypt(data, recipients)

    def decrypt(self, data: bytes, roles: Iterable[str], *, tag: bytes = b"", number: int = 0) -> bytes:
        """Decrypt with a secret of one of ``roles``.

        ``tag`` names the epoch that the content is encrypted for, ``number`` the one that its author
        wrote in: those secrets are tried first, then all others, because content moves to new epochs.
        Raises ``NoRoleKey`` when this node lacks secrets that may fit, or has not heard of the epoch;
        ``NotAllowed`` when it lacks nothing.
        """
        readers = tuple(roles)
        likely, rest = self._candidates(readers, tag, number)
        refused: NotAllowed | None = None
        for identities in (likely, rest):
            if identities:
                try:
                    return self._decrypt(data, identities)
                except NotAllowed as error:
                    refused = error
        lacking = self.missing(readers)
        unheard = bool(tag) and all(epoch.tag != tag for epoch in self._epochs)
        if lacking or unheard or refused is None:
            raise self._no_key(readers, lacking)
        raise refused

    def _candidates(self, readers: tuple[str, ...], tag: bytes, number: int) -> tuple[list[str], list[str]]:
        """The secrets that content for ``readers`` is likely for, and all others that may fit."""
        likely: list[str] = []
        rest: list[str] = []
        for epoch in self._epochs:
            held = [s for r in readers if (s := self._secrets.get(epoch.record.recipients.get(r, ""))) is not None]
            (likely if (epoch.tag == tag if tag else epoch.number == number) else rest).extend(held)
        return likely, [secret for secret in dict.fromkeys(rest) if secret not in likely]

    def identities(self, roles: Iterable[str], *, tag: bytes = b"", number: int = 0) -> list[str]:
        """The secrets to decrypt content with that is read as a stream; ``NoRoleKey`` when this node has none."""
        readers = tuple(roles)
        likely, rest = self._candidates(readers, tag, number)
        if not likely and not rest:
            raise self._no_key(readers, self.missing(readers))
        return [*likely, *rest]

    def _decrypt(self, data: bytes, identities: Sequence[str]) -> bytes:
        if has_audience(data):
            return self._audiences.decrypt(data, identities)
        return age.decrypt(data, identities) if len(data) <= LARGE_BYTES else decrypt_large(data, identities)

    @staticmethod
    def _no_key(readers: Sequence[str], lacking: Sequence[Missing]) -> BzzzError:
        roles = sorted({missing.role for missing in lacking} or set(readers))
        numbers = sorted({missing.number for missing in lacking})
        return NoRoleKey(
            f"this node holds no key of {' or '.join(roles)}"
            + (f" in epoch {', '.join(map(str, numbers[-3:]))}" if numbers else "")
            + "; it is given the keys of the roles that its grant lists and of people who attach here, by members "
            "that have them: see who is connected (bzzz peers), or read on a node of that role",
            roles=roles,
            epochs=numbers[-16:],
        )
