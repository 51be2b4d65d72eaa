from __future__ import annotations

import shutil

import pytest

from bzzzd.crypto import age
from bzzzd.errors import BadInput, KeyExposed, NotAllowed, StorageFailed
from bzzzd.storage.bulk import LARGE_BYTES
from bzzzd.storage.rolekeys import RoleKeys


@pytest.fixture
def keys(tmp_path):
    return RoleKeys.load_or_create(tmp_path / "roles", ["worker", "operator"])


def test_roles_get_keys_in_private_files_that_stay(keys, tmp_path):
    folder = tmp_path / "roles"
    assert sorted(path.name for path in folder.iterdir()) == ["operator.1.age", "worker.1.age"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    again = RoleKeys.load_or_create(folder, ["worker"])
    assert again.recipients(["worker", "operator"]) == keys.recipients(["worker", "operator"])
    assert again.roles == {"worker", "operator"}


@pytest.mark.parametrize("size", [0, 1000, LARGE_BYTES + 1])
def test_what_is_encrypted_for_a_role_is_read_by_it_and_by_no_other(keys, size):
    data = keys.encrypt(["worker"], bytes(size))
    assert keys.decrypt(data) == bytes(size)
    assert keys.decrypt(data, ["worker", "operator"], 1) == bytes(size)
    with pytest.raises(NotAllowed):
        keys.decrypt(data, ["operator"])


def test_a_role_of_several_readers_is_enough(keys):
    data = keys.encrypt(["worker", "operator"], b"both")
    assert keys.decrypt(data, ["operator"], 1) == keys.decrypt(data, ["worker"], 1) == b"both"


@pytest.mark.parametrize("role", ["worker", "operator"])
@pytest.mark.parametrize("size", [1000, LARGE_BYTES - 100, LARGE_BYTES + 1])
def test_a_node_that_holds_the_key_of_one_reader_alone_reads_what_is_for_several(keys, tmp_path, role, size):
    data = keys.encrypt(["worker", "operator"], bytes(size))
    (tmp_path / "one").mkdir(mode=0o700)
    shutil.copy2(tmp_path / "roles" / f"{role}.1.age", tmp_path / "one")
    one = RoleKeys.load_or_create(tmp_path / "one", [role])
    assert one.decrypt(data, ["operator", "worker"], 1) == one.decrypt(data) == bytes(size)


def test_a_role_outside_does_not_read_what_is_for_several(keys):
    keys.add(["reviewer"])
    data = keys.encrypt(["worker", "operator"], b"both")
    assert keys.decrypt(data, ["worker"], 1) == b"both"
    with pytest.raises(NotAllowed):
        keys.decrypt(data, ["reviewer"], 1)


def test_what_was_written_for_several_before_a_restart_or_key_by_key_is_read_after_it(keys, tmp_path):
    written = keys.encrypt(["worker", "operator"], b"written")
    direct = age.encrypt(b"direct", keys.recipients(["worker", "operator"]))
    again = RoleKeys.load_or_create(tmp_path / "roles", ["worker", "operator"])
    assert again.decrypt(written, ["operator"], 1) == b"written"
    assert again.decrypt(direct, ["operator"], 1) == b"direct"


def test_what_is_for_several_in_a_new_epoch_is_not_read_with_the_keys_of_the_old(keys):
    old = keys.encrypt(["worker", "operator"], b"old")
    keys.new_epoch()
    new = keys.encrypt(["worker", "operator"], b"new")
    assert keys.decrypt(old, ["worker"], 1) == b"old"
    assert keys.decrypt(new, ["worker"], 2) == b"new"
    with pytest.raises(NotAllowed):
        keys.decrypt(new, ["worker", "operator"], 1)


def test_a_new_epoch_has_new_keys_and_the_old_content_stays_readable(keys, tmp_path):
    old = keys.encrypt(["worker"], b"old")
    assert (keys.current, keys.new_epoch(), keys.current) == (1, 2, 2)
    new = keys.encrypt(["worker"], b"new")
    assert keys.decrypt(old, ["worker"], 1) == b"old"
    assert keys.decrypt(new, ["worker"], 2) == b"new"
    with pytest.raises(NotAllowed):
        keys.decrypt(new, ["worker"], 1)
    again = RoleKeys.load_or_create(tmp_path / "roles", ["worker", "operator"])
    assert again.current == again.epoch("worker") == 2
    assert again.decrypt(old) == b"old"


def test_a_role_that_comes_later_starts_in_the_epoch_in_force(keys):
    keys.new_epoch()
    keys.add(["reviewer"])
    assert keys.epoch("reviewer") == 2
    with pytest.raises(BadInput, match="no key in epoch 1"):
        keys.recipients(["reviewer"], 1)


def test_an_epoch_that_a_crash_cut_short_is_completed(keys, tmp_path):
    keys.new_epoch()
    (tmp_path / "roles" / "worker.2.age").unlink()
    again = RoleKeys.load_or_create(tmp_path / "roles", ["worker", "operator"])
    assert again.epoch("worker") == again.epoch("operator") == 2


def test_a_key_that_others_can_read_is_refused(keys, tmp_path):
    (tmp_path / "roles" / "worker.1.age").chmod(0o644)
    with pytest.raises(KeyExposed, match="chmod 600"):
        RoleKeys.load_or_create(tmp_path / "roles", ["worker"])


def test_a_damaged_key_is_named_and_its_content_is_not_shown(keys, tmp_path):
    path = tmp_path / "roles" / "worker.1.age"
    secret = path.read_text()
    path.write_text(secret[:40])
    with pytest.raises(StorageFailed, match=r"worker\.1\.age") as caught:
        RoleKeys.load_or_create(tmp_path / "roles", ["worker"])
    assert secret[:40] not in str(caught.value)


def test_no_secret_is_shown(keys):
    assert "SECRET" not in repr(keys)


def test_unknown_roles_and_impossible_names_are_refused(keys):
    with pytest.raises(BadInput, match="roles with one: operator, worker"):
        keys.encrypt(["stranger"], b"x")
    with pytest.raises(BadInput):
        keys.add(["../evil"])
    with pytest.raises(NotAllowed, match="holds no key"):
        keys.decrypt(b"x", ["stranger"])
    with pytest.raises(BadInput):
        keys.encrypt([], b"x")
