from __future__ import annotations

import msgspec
import pytest

from bzzzd.crypto import age
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput, KeyExposed, NoRoleKey, NotAllowed, NotReady, StorageFailed
from bzzzd.identity.epoch import EpochRecord, open_epoch, seal_epoch
from bzzzd.storage.versions.bulk import LARGE_BYTES
from bzzzd.storage.versions.rolekeys import RoleKeys, recovery_of

MESH = "mesh-1"
AUTHORITY = SigningKey.from_seed(bytes(32))
NOW = 1_000_000.0


def found(folder, roles=("worker", "operator")) -> RoleKeys:
    return RoleKeys.found(folder, MESH, AUTHORITY, roles, NOW)


def new_epoch(keys: RoleKeys, roles=(), *, key: SigningKey = AUTHORITY, **changes) -> bytes:
    record, secrets = keys.next(roles, now=NOW, **changes)
    epoch = keys.keep(seal_epoch(key, MESH, record), secrets)
    keys.enforce(epoch)
    return epoch.raw


def secrets_of(keys: RoleKeys, roles, other: RoleKeys) -> list[str]:
    """What ``other`` lacks of ``roles`` and ``keys`` has."""
    held = [keys.secret(missing.recipient) for missing in other.missing(roles)]
    return [secret.secret for secret in held if secret is not None]


@pytest.fixture
def keys(tmp_path):
    return found(tmp_path / "roles")


@pytest.fixture
def other(keys, tmp_path):
    """Another node that knows the epoch and holds no secret."""
    there = RoleKeys.load(tmp_path / "other", MESH)
    there.enforce(keys.epoch)
    return there


def test_roles_get_keys_in_private_files_that_stay(keys, tmp_path):
    folder = tmp_path / "roles"
    names = [".".join((path.name.split(".")[0], path.suffix[1:])) for path in sorted(folder.iterdir())]
    assert names == ["1.epoch", "operator.age", "worker.age"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    again = found(folder)
    assert again.epoch == keys.epoch
    assert again.roles == again.held() == {"worker", "operator"}


@pytest.mark.parametrize("size", [0, 1000, LARGE_BYTES + 1])
def test_what_is_encrypted_for_a_role_is_read_by_it_and_by_no_other(keys, size):
    data = keys.encrypt(["worker"], bytes(size))
    assert keys.decrypt(data, ["worker", "operator"], number=1) == bytes(size)
    assert keys.decrypt(data, ["worker"]) == bytes(size)
    with pytest.raises(NotAllowed) as refused:
        keys.decrypt(data, ["operator"])
    assert refused.value.code == "NOT_ALLOWED"


def test_a_role_of_several_readers_is_enough(keys):
    data = keys.encrypt(["worker", "operator"], b"both")
    assert keys.decrypt(data, ["operator"]) == keys.decrypt(data, ["worker"]) == b"both"


@pytest.mark.parametrize("role", ["worker", "operator"])
@pytest.mark.parametrize("size", [1000, LARGE_BYTES - 100, LARGE_BYTES + 1])
def test_a_node_that_holds_the_key_of_one_reader_alone_reads_what_is_for_several(keys, other, role, size):
    data = other.encrypt(["worker", "operator"], bytes(size))
    with pytest.raises(NoRoleKey, match="no key of operator or worker in epoch 1"):
        other.decrypt(data, ["operator", "worker"], number=1)
    assert [missing.role for missing in other.add(secrets_of(keys, [role], other))] == [role]
    assert other.decrypt(data, ["operator", "worker"], number=1) == bytes(size)
    assert other.held() == {role}


def test_a_role_outside_does_not_read_what_is_for_several(tmp_path):
    keys = found(tmp_path / "three", ["worker", "operator", "reviewer"])
    data = keys.encrypt(["worker", "operator"], b"both")
    assert keys.decrypt(data, ["worker"]) == b"both"
    with pytest.raises(NotAllowed):
        keys.decrypt(data, ["reviewer"])


def test_what_was_written_before_a_restart_or_key_by_key_is_read_after_it(keys, tmp_path):
    written = keys.encrypt(["worker", "operator"], b"written")
    direct = age.encrypt(b"direct", keys.recipients(["worker", "operator"]))
    again = RoleKeys.load(tmp_path / "roles", MESH)
    assert again.decrypt(written, ["operator"]) == b"written"
    assert again.decrypt(direct, ["operator"]) == b"direct"


def test_a_new_epoch_has_new_keys_and_the_old_content_stays_readable(keys, other, tmp_path):
    other.add(secrets_of(keys, ["worker"], other))
    old, before = keys.encrypt(["worker"], b"old"), keys.tag
    new_epoch(keys)
    assert (keys.current, keys.held(), keys.held(1)) == (2, {"worker", "operator"}, {"worker", "operator"})
    new = keys.encrypt(["worker"], b"new")
    assert keys.decrypt(old, ["worker"], tag=before) == keys.decrypt(old, ["worker"], number=1) == b"old"
    assert keys.decrypt(new, ["worker"], tag=keys.tag) == keys.decrypt(new, ["worker"], number=1) == b"new"
    again = RoleKeys.load(tmp_path / "roles", MESH)
    assert again.current == 2
    assert again.decrypt(old, ["worker"]) == b"old"
    # Who has the secrets of the old epoch alone reads nothing of the new one.
    other.enforce(keys.epoch)
    assert other.decrypt(old, ["worker"], number=1) == b"old"
    with pytest.raises(NoRoleKey, match="worker in epoch 2"):
        other.decrypt(new, ["worker"], number=2)


def test_a_role_that_comes_later_gets_a_key_and_the_others_keep_theirs(keys, tmp_path):
    data = keys.encrypt(["worker"], b"text")
    again = found(tmp_path / "roles", ["worker", "operator", "auditor"])
    assert (again.current, again.roles) == (2, {"worker", "operator", "auditor"})
    assert again.recipients(["worker"]) == keys.recipients(["worker"])
    assert again.decrypt(data, ["worker"], tag=keys.tag) == b"text"
    assert found(tmp_path / "roles", ["worker", "operator", "auditor"]).current == 2


def test_secrets_that_no_known_epoch_names_are_dropped(keys, other):
    assert other.add([age.new_identity()]) == []
    assert other.held() == frozenset()


def test_an_epoch_that_was_written_down_is_not_in_force_until_the_charter_says_so(keys, tmp_path):
    record, secrets = keys.next([], now=NOW)
    epoch = keys.keep(seal_epoch(AUTHORITY, MESH, record), secrets)
    assert keys.current == 1
    again = RoleKeys.load(tmp_path / "roles", MESH)
    assert [known.number for known in again.epochs] == [2, 1]
    assert again.held(2) == {"worker", "operator"}
    keys.enforce(epoch)
    assert keys.current == 2


def test_two_epochs_of_one_number_are_told_apart_and_both_can_be_read(keys, other):
    mine = new_epoch(keys)
    data = keys.encrypt(["worker"], b"mine")
    other.add(secrets_of(keys, ["worker"], other))
    theirs = new_epoch(other, key=SigningKey.from_seed(bytes([7]) * 32))
    keys.keep(theirs, secrets_of(other, ["worker"], keys))
    keys.enforce(open_epoch(theirs, MESH))
    assert open_epoch(mine, MESH).tag != keys.tag
    assert keys.decrypt(data, ["worker"], tag=open_epoch(mine, MESH).tag) == b"mine"
    assert keys.decrypt(data, ["worker"], number=2) == b"mine"


def test_earlier_epochs_are_taken_where_a_later_one_names_them(keys, tmp_path):
    first = keys.epoch.raw
    second, third = new_epoch(keys), new_epoch(keys)
    late = RoleKeys.load(tmp_path / "late", MESH)
    late.enforce(open_epoch(third, MESH))
    assert not late.adopt(first)
    forged = seal_epoch(AUTHORITY, MESH, EpochRecord(number=2, at=NOW, recipients=keys.epoch.record.recipients))
    assert not late.adopt(forged)
    assert late.adopt(second)
    assert late.adopt(first)
    assert late.unknown() == frozenset()
    assert late.current == 3
    late.add(secrets_of(keys, ["worker"], late))
    assert late.held(1) == late.held(2) == late.held(3) == {"worker"}


def test_the_authoritys_key_gives_all_secrets_of_all_epochs_from_the_documents_alone(keys, other, tmp_path):
    new_epoch(keys)
    new_epoch(keys)
    alone = RoleKeys.load(tmp_path / "alone", MESH)
    for epoch in reversed(keys.epochs):
        alone.enforce(epoch)
    assert alone.held() == frozenset()
    assert alone.kept_for(recovery_of(SigningKey.generate())) == []
    alone.add(alone.kept_for(recovery_of(AUTHORITY)))
    assert alone.missing(["worker", "operator"]) == []
    assert alone.held(1) == alone.held(3) == {"worker", "operator"}


def test_what_a_signer_kept_for_recovery_may_be_anything(keys, tmp_path):
    recovery = keys.epoch.record.recovery
    record, _ = keys.next([], now=NOW)
    for kept in (b"garbage", age.encrypt(b"no secret", [recovery]), age.encrypt(bytes([255]), [recovery])):
        odd = seal_epoch(AUTHORITY, MESH, msgspec.structs.replace(record, kept=kept))
        keys.enforce(keys.keep(odd))
        assert {age.recipient_of(s) for s in keys.kept_for(recovery_of(AUTHORITY))} >= set(
            keys.epochs[-1].record.recipients.values()
        )


def test_an_epoch_of_another_mesh_is_not_known_here(keys, tmp_path):
    elsewhere = RoleKeys.load(tmp_path / "roles", "mesh-2")
    assert (elsewhere.current, elsewhere.held(1)) == (0, frozenset())
    with pytest.raises(NotReady, match="role keys"):
        elsewhere.encrypt(["worker"], b"x")


def test_a_key_that_others_can_read_is_refused(keys, tmp_path):
    next((tmp_path / "roles").glob("worker.*")).chmod(0o644)
    with pytest.raises(KeyExposed, match="chmod 600"):
        RoleKeys.load(tmp_path / "roles", MESH)


def test_a_damaged_key_is_named_and_its_content_is_not_shown(keys, tmp_path):
    path = next((tmp_path / "roles").glob("worker.*"))
    secret = path.read_text()
    path.write_text(secret[:40])
    with pytest.raises(StorageFailed, match=r"worker\.1\.") as caught:
        RoleKeys.load(tmp_path / "roles", MESH)
    assert secret[:40] not in str(caught.value)


def test_no_secret_is_shown(keys):
    assert "SECRET" not in repr(keys)


def test_unknown_roles_and_impossible_names_are_refused(keys):
    with pytest.raises(BadInput, match="roles with one: operator, worker"):
        keys.encrypt(["stranger"], b"x")
    with pytest.raises(BadInput):
        keys.next(["../evil"], now=NOW)
    with pytest.raises(NoRoleKey):
        keys.decrypt(b"x", ["stranger"])
    with pytest.raises(BadInput):
        keys.encrypt([], b"x")
