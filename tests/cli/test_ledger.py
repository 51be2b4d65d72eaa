"""ledger backup and restore: pieces put together, whole files or none."""

import os
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from bzzzd.cli.commands import ledger
from bzzzd.rpc.access import attached

CONTENT = os.urandom(2500)


class Piece(Struct, frozen=True, forbid_unknown_fields=True):
    data: Annotated[bytes, Meta(max_length=1000)] = b""
    backup: str = ""
    upload: str = ""
    offset: int = 0
    last: bool = False


@pytest.fixture
def pieces(node, monkeypatch):
    """A node that sends and takes the backup in pieces; what it was sent, and whether the end came."""
    monkeypatch.setattr(ledger, "PIECE_BYTES", 1000)
    taken = {"data": b"", "last": False}

    def backup(call, params):
        assert params.backup == ("" if params.offset == 0 else "b1")
        data = CONTENT[params.offset : params.offset + 1000]
        last = params.offset + len(data) >= len(CONTENT)
        return {"backup": "b1", "offset": params.offset, "size": len(CONTENT), "data": data, "last": last}

    def restore(call, params):
        assert params.upload == ("" if params.offset == 0 else "u1")
        assert params.offset == len(taken["data"])
        taken["data"] += params.data
        taken["last"] = params.last
        return {"upload": "u1", "status": {"term": 4, "counts": {"completed": 2}}} if params.last else {"upload": "u1"}

    node.registry.add("ledger.backup", attached(), Piece, backup, doc="for the tests")
    node.registry.add("ledger.restore", attached(), Piece, restore, doc="for the tests")
    return taken


def test_a_backup_is_put_together_in_a_new_file(pieces, bzzz, tmp_path):
    path = tmp_path / "ledger.backup"
    found = bzzz("ledger", "backup", str(path))
    assert (found.status, found.err) == (0, "")
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o777 == 0o600
    again = bzzz("ledger", "backup", str(path))
    assert (again.status, "exists already" in again.err) == (1, True)


def test_a_backup_that_breaks_off_leaves_no_file(node, bzzz, tmp_path):
    def backup(call, params):
        return {"backup": "b1", "offset": 0, "size": 9, "data": b"x", "last": False}

    node.registry.add("ledger.backup", attached(), Piece, backup, doc="for the tests")
    found = bzzz("ledger", "backup", str(tmp_path / "ledger.backup"))
    assert (found.status, "with a gap" in found.err) == (1, True)
    assert not list(tmp_path.glob("*.backup*"))


def test_a_backup_into_a_missing_folder_is_refused_with_the_reason(pieces, bzzz, tmp_path):
    found = bzzz("ledger", "backup", str(tmp_path / "none" / "x"))
    assert (found.status, "No such file or directory" in found.err) == (1, True)


def test_a_restore_sends_the_whole_file(pieces, bzzz, tmp_path):
    path = tmp_path / "ledger.backup"
    path.write_bytes(CONTENT)
    found = bzzz("ledger", "restore", str(path), "--yes")
    assert (found.status, found.out) == (0, "term    4\ncounts  completed 2\n")
    assert pieces == {"data": CONTENT, "last": True}


def test_a_restore_is_not_done_without_a_yes(pieces, bzzz, tmp_path, monkeypatch):
    path = tmp_path / "ledger.backup"
    path.write_bytes(CONTENT)
    found = bzzz("ledger", "restore", str(path))
    assert (found.status, "nothing was restored" in found.err) == (2, True)
    assert pieces["data"] == b""


def test_a_restore_of_a_missing_file_is_not_found(bzzz):
    assert bzzz("ledger", "restore", "/nonexistent", "--yes").status == 4


def test_a_path_that_no_file_can_have_is_told_in_a_line(bzzz, tmp_path):
    found = bzzz("ledger", "backup", str(tmp_path / ("x" * 300)))
    assert (found.status, found.out) == (1, "")
    assert found.err.endswith("name another file, or mend this one (STORAGE_FAILED)\n")
