from __future__ import annotations

import errno
import sqlite3
from pathlib import Path

import pytest

from bzzzd.errors import AlreadyRunning, DiskFull, StorageFailed
from bzzzd.storage.faults import from_os, from_sqlite, is_fatal

PATH = Path("/state/journal.sqlite")


def failed(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("it failed")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_TEST"
    return error


@pytest.mark.parametrize(
    ("code", "kind", "fatal"),
    [
        (sqlite3.SQLITE_FULL, DiskFull, False),
        (sqlite3.SQLITE_READONLY_DIRECTORY, StorageFailed, False),
        (sqlite3.SQLITE_CANTOPEN, StorageFailed, False),
        (sqlite3.SQLITE_IOERR_WRITE, StorageFailed, False),
        (sqlite3.SQLITE_IOERR_FSYNC, StorageFailed, True),
        (sqlite3.SQLITE_CORRUPT_INDEX, StorageFailed, True),
        (sqlite3.SQLITE_NOTADB, StorageFailed, True),
        (sqlite3.SQLITE_BUSY, AlreadyRunning, False),
    ],
)
def test_faults_of_the_disk_become_our_errors_and_name_the_file(code, kind, fatal):
    error = from_sqlite(failed(code), PATH)
    assert type(error) is kind
    assert str(PATH) in error.message
    assert error.data["cause"] == "SQLITE_TEST"
    assert is_fatal(failed(code)) is fatal


def test_faults_of_a_statement_stay_what_they_are():
    assert from_sqlite(failed(sqlite3.SQLITE_CONSTRAINT_UNIQUE), PATH) is None
    assert from_sqlite(sqlite3.ProgrammingError("no code"), PATH) is None
    assert not is_fatal(ValueError("other"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_apart(number):
    assert type(from_os(OSError(number, "full"), PATH, "write")) is DiskFull


def test_other_system_errors_say_what_could_not_be_done():
    error = from_os(PermissionError(errno.EACCES, "Permission denied"), PATH, "write")
    assert type(error) is StorageFailed
    assert error.message.startswith(f"cannot write {PATH}: Permission denied")
