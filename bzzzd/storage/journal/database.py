"""The journal's file: opened with its settings, its schemas checked, its identity kept, copied as a backup.

Everything here runs in the journal's own thread, on its one connection.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from msgspec import Struct

from bzzzd.errors import StorageFailed
from bzzzd.storage.faults import damaged, from_os, from_sqlite, is_fatal
from bzzzd.storage.folder import prepare_folder, sync_folder

# "BZZZ" in the file's header: `file journal.sqlite` shows it, and another program's database is refused.
APPLICATION_ID: Final = 0x425A5A5A
_MAGIC: Final = b"SQLite format 3\0"
_OWN: Final = (
    "CREATE TABLE IF NOT EXISTS schemas (name TEXT PRIMARY KEY, major INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID",
)


class Schema(Struct, frozen=True):
    """The tables of one room: ``statements`` are ``CREATE … IF NOT EXISTS``; a changed shape raises ``major``."""

    name: str
    major: int
    statements: tuple[str, ...]


class Opened(Struct, frozen=True):
    """``incarnation`` is random and made with the file (a restored backup gets a new one); ``boot`` counts openings."""

    connection: sqlite3.Connection
    incarnation: str
    boot: int


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application, tables) != (0, 0):
        raise StorageFailed(
            f"{path} is a database of another program, not a journal; move it away", path=str(path), found=application
        )


def _connect(path: Path) -> sqlite3.Connection:
    # isolation_level=None: Python must not open transactions of its own between our savepoints.
    # The second of patience is for a predecessor that was killed and is still being taken down.
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=512, timeout=1.0)
    try:
        # Exclusive before WAL: the index of the log then lives in our memory instead of a shared
        # file, a second opener is refused, and one connection is enforced, not only intended.
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        _refuse_foreign(connection, path)
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise StorageFailed(
                f"the file system of {path} cannot hold a write-ahead log (mode {mode})", path=str(path)
            )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA journal_size_limit=67108864")
        connection.execute("PRAGMA cache_size=-16384")
    except BaseException:
        connection.close()
        raise
    return connection


def _apply_schemas(connection: sqlite3.Connection, path: Path, schemas: Sequence[Schema]) -> None:
    for statement in _OWN:
        connection.execute(statement)
    known = dict(connection.execute("SELECT name, major FROM schemas").fetchall())
    for schema in schemas:
        found = known.get(schema.name)
        if found is not None and found != schema.major:
            newer = found > schema.major
            raise StorageFailed(
                f"the journal {path} holds {schema.name} in major {found}; this bzzzd reads major {schema.major}. "
                + ("Install the newer bzzzd again" if newer else "Start the bzzzd that made it, or restore a backup")
                + "; nothing was changed",
                path=str(path),
                schema=schema.name,
                found=found,
                known=schema.major,
            )
        for statement in schema.statements:
            connection.execute(statement)
        connection.execute("INSERT OR IGNORE INTO schemas (name, major) VALUES (?, ?)", (schema.name, schema.major))


def _identity(connection: sqlite3.Connection) -> tuple[str, int]:
    connection.execute(
        "INSERT OR IGNORE INTO meta (key, value) VALUES ('incarnation', ?), ('boot', '0')", (secrets.token_hex(16),)
    )
    connection.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'boot'")
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    return meta["incarnation"], int(meta["boot"])


def open_database(path: Path, schemas: Sequence[Schema]) -> Opened:
    """Open or make the journal's file (0600), in one transaction: a refused file is left as it was.

    Raises ``StorageFailed``, ``DiskFull``, ``AlreadyRunning`` or ``KeyExposed``.
    """
    prepare_folder(path.parent)
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), "rb") as file:
            start = file.read(len(_MAGIC))
    except OSError as error:
        raise from_os(error, path, "open the journal") from error
    if start not in (b"", _MAGIC):  # SQLite takes a file of a few bytes for an empty database
        raise damaged(path, "it does not start like one")
    try:
        connection = _connect(path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            _apply_schemas(connection, path, schemas)
            incarnation, boot = _identity(connection)
            connection.execute("COMMIT")
            sync_folder(path.parent)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise from_sqlite(error, path) or StorageFailed(
            f"cannot open the journal {path}: {error}", path=str(path)
        ) from error
    return Opened(connection, incarnation, boot)


def quick_check(connection: sqlite3.Connection, limit: int = 20) -> list[str]:
    """What SQLite finds wrong in the file, at most ``limit`` lines; empty when it is sound."""
    try:
        lines = [str(row[0]) for row in connection.execute(f"PRAGMA quick_check({int(limit)})")]
    except sqlite3.DatabaseError as error:
        if not is_fatal(error):
            raise
        return [str(error)]
    return [] if lines == ["ok"] else lines


def write_backup(connection: sqlite3.Connection, target: Path) -> int:
    """Copy the whole journal to the new file ``target`` (0600) and give its size in bytes.

    The copy has no incarnation, so a journal that is opened from it gets a new one: it may
    otherwise hand out numbers again that the original has given to something else.
    Raises ``StorageFailed`` when ``target`` exists or cannot be written; no part of it stays then.
    """
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except OSError as error:
        raise from_os(error, target, "write the backup") from error
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
        with closing(sqlite3.connect(target, isolation_level=None)) as copy:
            copy.execute("DELETE FROM meta WHERE key = 'incarnation'")
        handle = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(target.parent)
        return target.stat().st_size
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise from_sqlite(error, target) or StorageFailed(f"cannot write the backup {target}: {error}") from error
        if isinstance(error, OSError):
            raise from_os(error, target, "write the backup") from error
        raise
