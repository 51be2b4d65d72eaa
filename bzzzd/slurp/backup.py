"""The ledger in a file of its own: written, checked, and put back.

A backup is a SQLite file with the ledger's tables; a copy of a whole journal serves as well. It
holds signed commands, states and names, and no content: briefs and results are versions, which
the content store keeps. ``check_backup`` needs no journal and may take long, so it runs in a thread
of the caller's; ``restore`` takes only what it has passed.
"""
# ruff: noqa: S608 - statements are put together from the names of tables and columns alone, never from input.

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import GenericAlias
from typing import Any, Final, get_type_hints
from urllib.parse import quote

import msgspec

from bzzzd.errors import (
    UNREADABLE,
    BadInput,
    BzzzError,
    Conflict,
    DiskFull,
    StorageFailed,
)
from bzzzd.slurp import promptrows, schema
from bzzzd.slurp.commands import Ask, Command, PromptCommand, Retry, open_command
from bzzzd.slurp.ledger import Backup, LedgerEvent
from bzzzd.slurp.prompt import Prompt
from bzzzd.slurp.query import head
from bzzzd.slurp.sqlite import promote
from bzzzd.slurp.task import LedgerClock, Task

_CHUNK: Final = 1000
_COPIES: Final = tuple(
    (f"SELECT * FROM {name}", f"INSERT INTO {name} VALUES ({', '.join('?' * columns)})", f"DELETE FROM {name}")
    for name, columns in schema.TABLE_WIDTHS
)
_SHAPES: Final = "SELECT name, type, sql FROM sqlite_master WHERE name = ?"
_TASKS: Final = f"""
    SELECT first.kind, first.raw, last.after, {", ".join(f"t.{name}" for name in Task.__struct_fields__)}
    FROM slurp_tasks AS t
    LEFT JOIN (SELECT task, min(number) AS a, max(number) AS z FROM slurp_entries GROUP BY task) AS m ON m.task = t.seq
    LEFT JOIN slurp_entries AS first ON first.number = m.a
    LEFT JOIN slurp_entries AS last ON last.number = m.z"""
_ENTRIES: Final = """
    SELECT e.number, e.command, e.raw, e.after, e.prompt, e.left, e.kind, t.id FROM slurp_entries AS e
    LEFT JOIN slurp_tasks AS t ON t.seq = e.task ORDER BY e.number"""
_PROMPTS: Final = """
    SELECT p.seq, p.id, p.action, p.state, p.live, p.looks_at, p.prompt, t.id FROM slurp_prompts AS p
    LEFT JOIN slurp_tasks AS t ON t.seq = p.task"""
_LAST_LEFT: Final = "SELECT left FROM slurp_entries WHERE prompt = ? ORDER BY number DESC LIMIT 1"


def backup(conn: sqlite3.Connection, target: Path) -> None:
    """Write the ledger as ``conn`` sees it to the new file ``target`` (0600), synced; whole or absent.

    Raises ``Conflict`` when ``target`` exists, ``DiskFull`` or ``StorageFailed``.
    """
    try:
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    except FileExistsError:
        raise Conflict(f"{target} exists already; name a new file for the backup", path=str(target)) from None
    except OSError as error:
        raise StorageFailed(f"cannot write the backup {target}: {error.strerror}", path=str(target)) from error
    try:
        with _file(target, "rwc") as side:
            for statement in (*schema.TABLES, "BEGIN"):
                side.execute(statement)
            for read, write, _ in _COPIES:
                _copy_out(conn.execute(read), side, write, target)
            with _faults(target):
                side.execute("COMMIT")
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy_out(rows: sqlite3.Cursor, side: sqlite3.Connection, write: str, target: Path) -> None:
    # Reading is the journal's affair and its errors pass as they are; only writing can be the copy's fault.
    while chunk := rows.fetchmany(_CHUNK):
        with _faults(target):
            side.executemany(write, chunk)


def check_backup(path: Path, mesh_id: str) -> Backup:
    """Read a backup through: the file must be sound, every command signed, every task as it was left.

    Raises ``BadInput`` with the first fault, ``StorageFailed`` when the file can't be read.
    """
    with _file(path, "ro") as side, _faults(path):
        _check_file(side, path)
        halves = _half_decoder()
        for number, command_id, raw, after, prompt, left, kind, task_id in side.execute(_ENTRIES):
            what = f"entry {number}"
            if task_id is None:
                raise _fault(path, f"{what} belongs to no task")
            try:
                halves.decode(after)
                about = schema.prompt_left(left)
            except UNREADABLE as error:
                raise _fault(path, f"{what}: {error}") from error
            if (about is None) != (prompt is None) or (about is None) == kind.startswith("prompt_"):
                raise _fault(path, f"{what} does not say what it is about")
            if raw is not None:
                command = _open_signed(path, what, raw, mesh_id)
                _check_command(path, what, command, command_id, task_id)
                _check_prompt_command(path, what, command, about, kind)
        for row in side.execute(_PROMPTS).fetchall():
            _check_prompt(side, path, row)
        tasks = 0
        for kind, raw, after, *row in side.execute(_TASKS):
            tasks += 1
            task = schema.task_from_row(row)
            if kind not in ("submitted", "rejected") or raw is None:
                raise _fault(path, f"task {task.id} has no signed beginning")
            if schema.as_left_by(task, after) != task:
                raise _fault(path, f"task {task.id} is not as its last entry left it")
        return Backup(path, schema.term(side), head(side), tasks)


def _half_decoder() -> msgspec.msgpack.Decoder[Any]:
    """Reads what an entry says of the changing part of a task, and accepts nothing else."""
    hints = get_type_hints(Task)
    return msgspec.msgpack.Decoder(GenericAlias(tuple, tuple(hints[name] for name in schema.CHANGING)))


def _check_file(side: sqlite3.Connection, path: Path) -> None:
    wrong = side.execute("PRAGMA quick_check(1)").fetchone()[0]
    if wrong != "ok":
        raise _fault(path, f"the file is damaged: {wrong}")
    with closing(sqlite3.connect(":memory:")) as model:
        for statement in schema.TABLES:
            model.execute(statement)
        for name, _ in schema.TABLE_WIDTHS:
            if side.execute(_SHAPES, (name,)).fetchone() != model.execute(_SHAPES, (name,)).fetchone():
                raise _fault(path, f"its table {name} is missing or of another version")
    if side.execute("SELECT count(*) FROM slurp_meta").fetchone()[0] != 1:
        raise _fault(path, "it has no term")


def _open_signed(path: Path, what: str, raw: bytes, mesh_id: str) -> Command:
    try:
        return open_command(raw, mesh_id)[1]
    except BadInput as error:
        raise _fault(path, f"{what}: {error.message}") from error


def _check_command(path: Path, what: str, command: Command, command_id: str | None, task_id: str) -> None:
    about = command.new_task if isinstance(command, Retry) else command.task
    if about != task_id or command_id not in (None, command.id):
        raise _fault(path, f"{what} names another task or command than the one that was signed")


def _check_prompt_command(path: Path, what: str, command: Command, about: Prompt | None, kind: str) -> None:
    named = command.prompt if isinstance(command, PromptCommand) else None
    # A question that was asked before keeps its id when the next owner takes it over.
    if named != (about.id if about else None) and not (isinstance(command, Ask) and kind == "prompt_adopted"):
        raise _fault(path, f"{what} is about another prompt than the command that was signed")
    if isinstance(command, Ask) and about and kind == "prompt_asked":
        said = (command.version, command.digest, command.action, command.to, command.quorum, command.expires)
        if said != (about.version, about.digest, about.action, about.to, about.quorum, about.expires):
            raise _fault(path, f"{what} has another question than the one that was signed")


def _check_prompt(side: sqlite3.Connection, path: Path, row: tuple[Any, ...]) -> None:
    seq, *columns, raw, task_id = row
    left = side.execute(_LAST_LEFT, (seq,)).fetchone()
    try:
        prompt = promptrows.decode(raw)
    except UNREADABLE as error:
        raise _fault(path, f"a prompt cannot be read: {error}") from error
    if left is None or left[0] != raw or prompt.task != task_id:
        raise _fault(path, f"prompt {prompt.id} is not as its last entry left it")
    if columns != [prompt.id, prompt.action, prompt.state, int(prompt.live), prompt.looks_at]:
        raise _fault(path, f"prompt {prompt.id} is not what its row says")


def restore(conn: sqlite3.Connection, checked: Backup, clock: LedgerClock, incarnation: str) -> tuple[LedgerEvent, ...]:
    """Replace the whole ledger by a backup. The term rises over both, and every lease is taken back without a strike.

    What was accepted after the backup was made is gone; its authors' clients may send it again.
    """
    above = schema.term(conn)
    with _file(checked.path, "ro") as side:
        for read, write, clear in _COPIES:
            conn.execute(clear)
            with _faults(checked.path):
                rows = side.execute(read)
            while chunk := _fetch(rows, checked.path):
                conn.executemany(write, chunk)
    schema.recount(conn)
    schema.set_incarnation(conn, incarnation)
    return promote(conn, clock, above)


def _fetch(rows: sqlite3.Cursor, path: Path) -> list[tuple[object, ...]]:
    with _faults(path):
        return rows.fetchmany(_CHUNK)


@contextmanager
def _file(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    with _faults(path):
        side = sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, isolation_level=None)
        side.execute("PRAGMA trusted_schema=OFF")
        side.execute("PRAGMA synchronous=FULL")
    with closing(side):
        yield side


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Errors of the backup's file, in words; cut off from SQLite's, which the journal would take for its own."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(path, error) from None


def _explained(path: Path, error: sqlite3.Error) -> BzzzError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DiskFull(f"no space left to write {path}; free some space and try again", path=str(path))
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR):
        return _fault(path, str(error))
    return StorageFailed(f"cannot read or write the backup {path}: {error}", path=str(path))


def _fault(path: Path, what: str) -> BadInput:
    return BadInput(f"{path} is not a backup that can be restored: {what}; take another one", path=str(path))
