from __future__ import annotations

import pytest

from bzzzd.errors import KeyExposed, StorageFailed
from bzzzd.storage.folder import prepare_folder, write_whole


def test_a_folder_is_made_for_its_owner_alone(tmp_path):
    made = prepare_folder(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700
    assert prepare_folder(made) == made


def test_a_folder_that_others_can_write_is_refused_and_left_as_it_is(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(KeyExposed, match="chmod 700"):
        prepare_folder(shared)
    assert shared.stat().st_mode & 0o777 == 0o777


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageFailed, match="is a file"):
        prepare_folder(tmp_path / "file")
    with pytest.raises(StorageFailed):
        prepare_folder(tmp_path / "file" / "below")


def test_a_file_is_written_whole_and_private_and_replaced_whole(tmp_path):
    path = tmp_path / "file"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [found.name for found in tmp_path.iterdir()] == ["file"]


def test_a_file_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path):
    with pytest.raises(StorageFailed, match="cannot write"):
        write_whole(tmp_path / "absent" / "file", b"x")
    assert list(tmp_path.iterdir()) == []
