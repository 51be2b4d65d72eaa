"""The embedded ledger's tables, and the passage between a row and a ``Task``.

Four things are stored: every task as it is now (``slurp_tasks``), every prompt (``slurp_prompts``), every
accepted command and every decision of the ledger itself in the order in which they took effect
(``slurp_entries``), and the term. An entry keeps the author's envelope as it came, the changing part of
the task as it was left and the prompt that it is about, so one row serves as event, as step of the trace
and as the recorded outcome of its command.

Of a task's entries that only give its lease more time, the last of each kind stays: each says all that the one
before it said, and a task may be held for months. Numbers of entries rise, then, but not every number is there.
"""
# ruff: noqa: S608 - statements are put together from the names in this file alone, never from input.

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any, Final, cast

import msgspec
from msgspec.structs import astuple

from bzzzd.errors import NotFound
from bzzzd.slurp import promptrows
from bzzzd.slurp.commands import Renew, stored_command
from bzzzd.slurp.ledger import LedgerEvent
from bzzzd.slurp.prompt import Prompt
from bzzzd.slurp.promptrows import Placed
from bzzzd.slurp.task import STATES, State, Task

NAME: Final = "slurp"
MAJOR: Final = 1
LEDGER: Final = "ledger"
SUPERSEDED: Final = frozenset({"renewed", "lease_prolonged"})
"""Kinds of entries of which a task keeps its last."""

TABLES: Final[tuple[str, ...]] = (
    """CREATE TABLE IF NOT EXISTS slurp_tasks (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        author TEXT NOT NULL,
        author_kind TEXT NOT NULL,
        role TEXT NOT NULL,
        capability TEXT NOT NULL,
        priority INTEGER NOT NULL,
        project TEXT NOT NULL,
        brief TEXT NOT NULL,
        retry_of TEXT,
        deadline_s REAL,
        approve INTEGER NOT NULL,
        created REAL NOT NULL,
        state TEXT NOT NULL,
        updated REAL NOT NULL,
        strikes INTEGER NOT NULL,
        term INTEGER NOT NULL,
        counter INTEGER NOT NULL,
        agent TEXT,
        agent_key BLOB,
        lease_s REAL,
        lease_end REAL,
        grace INTEGER NOT NULL,
        due REAL,
        left_s REAL,
        result TEXT,
        address TEXT,
        reason TEXT,
        detail TEXT,
        dead INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS slurp_entries (
        number INTEGER PRIMARY KEY,
        task INTEGER NOT NULL,
        at REAL NOT NULL,
        kind TEXT NOT NULL,
        by TEXT NOT NULL,
        command TEXT,
        raw BLOB,
        after BLOB NOT NULL,
        prompt INTEGER,
        left BLOB
    ) STRICT""",
    promptrows.TABLE,
    """CREATE TABLE IF NOT EXISTS slurp_meta (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        term INTEGER NOT NULL,
        pruned INTEGER NOT NULL,
        incarnation TEXT NOT NULL
    ) STRICT""",
)

TABLE_WIDTHS: Final = (
    ("slurp_tasks", len(Task.__struct_fields__) + 1),
    ("slurp_entries", 10),
    promptrows.WIDTH,
    ("slurp_meta", 4),
)

_COUNTS: Final = (
    "CREATE TABLE IF NOT EXISTS slurp_counts (state TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID"
)

_INDEXES: Final[tuple[str, ...]] = (
    "CREATE INDEX IF NOT EXISTS slurp_by_state ON slurp_tasks (state)",
    "CREATE INDEX IF NOT EXISTS slurp_by_project ON slurp_tasks (project)",
    "CREATE INDEX IF NOT EXISTS slurp_by_project_state ON slurp_tasks (project, state)",
    """CREATE INDEX IF NOT EXISTS slurp_open ON slurp_tasks (role, capability, priority DESC, seq)
        WHERE state = 'submitted'""",
    "CREATE INDEX IF NOT EXISTS slurp_leases ON slurp_tasks (lease_end) WHERE lease_end IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS slurp_due ON slurp_tasks (due) WHERE due IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS slurp_dead ON slurp_tasks (dead) WHERE dead = 1",
    "CREATE INDEX IF NOT EXISTS slurp_retries ON slurp_tasks (retry_of) WHERE retry_of IS NOT NULL",
    """CREATE UNIQUE INDEX IF NOT EXISTS slurp_commands ON slurp_entries (by, command) WHERE command IS NOT NULL""",
    "CREATE INDEX IF NOT EXISTS slurp_trace ON slurp_entries (task)",
    *promptrows.INDEXES,
)

_ROWS: Final[tuple[str, ...]] = (
    "INSERT OR IGNORE INTO slurp_meta (one, term, pruned, incarnation) VALUES (1, 1, 0, '')",
    *(f"INSERT OR IGNORE INTO slurp_counts (state, n) VALUES ('{state}', 0)" for state in STATES),
)

SCHEMA: Final[tuple[str, ...]] = (*TABLES, _COUNTS, *_INDEXES, *_ROWS)

# The order of the fields of Task is the order of the columns.
_FIXED: Final = Task.__struct_fields__.index("state")
CHANGING: Final = Task.__struct_fields__[_FIXED:]
COLUMNS: Final = ", ".join(Task.__struct_fields__)
FIXED_COLUMNS: Final = ", ".join(Task.__struct_fields__[:_FIXED])
_BOOLEANS: Final = tuple(Task.__struct_fields__.index(name) for name in ("approve", "grace", "dead"))

_INSERT: Final = f"INSERT INTO slurp_tasks ({COLUMNS}) VALUES ({', '.join('?' * len(Task.__struct_fields__))})"
_INSERT_AT: Final = _INSERT.replace("(", "(seq, ", 1).replace("(?", "(?, ?", 1)
_BY_NUMBER: Final = f"SELECT {COLUMNS} FROM slurp_tasks WHERE seq = ?"
_UPDATE: Final = f"UPDATE slurp_tasks SET {', '.join(f'{name} = ?' for name in CHANGING)} WHERE seq = ?"
_PROLONG: Final = "UPDATE slurp_tasks SET updated = ?, lease_end = ?, grace = ? WHERE seq = ?"
# Counted here and not by triggers: those made an update four times as expensive.
_COUNT: Final = "UPDATE slurp_counts SET n = n + 1 WHERE state = ?"
_RECOUNT: Final = "UPDATE slurp_counts SET n = n + iif(state = ?1, 1, -1) WHERE state IN (?1, ?2)"
_FIND: Final = f"SELECT seq, {COLUMNS} FROM slurp_tasks WHERE id = ?"
_ROOM: Final = """SELECT n, EXISTS (SELECT 1 FROM slurp_tasks WHERE id = ?) FROM slurp_counts
    WHERE state = 'submitted'"""
_ENTER: Final = """INSERT INTO slurp_entries (task, at, kind, by, command, raw, after, prompt, left)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_LAST_OF: Final = "SELECT number, raw FROM slurp_entries WHERE task = ? AND kind = ? ORDER BY number DESC LIMIT 1"
_SUPERSEDE: Final = """DELETE FROM slurp_entries WHERE number =
    (SELECT number FROM slurp_entries WHERE task = ? AND kind = ? AND number < ? ORDER BY number DESC LIMIT 1)"""
_LEFT_OVER: Final = """DELETE FROM slurp_entries WHERE number > ? AND number <= ? AND kind = ? AND EXISTS
    (SELECT 1 FROM slurp_entries AS later WHERE later.task = slurp_entries.task AND later.number > slurp_entries.number
     AND later.kind = slurp_entries.kind)"""
_RECORDED: Final = f"""SELECT raw, after, left, {FIXED_COLUMNS} FROM slurp_entries
    JOIN slurp_tasks ON slurp_tasks.seq = slurp_entries.task WHERE by = ? AND command = ?"""
_OVERDUE: Final = f"SELECT seq, {COLUMNS} FROM slurp_tasks WHERE due <= ? ORDER BY due LIMIT ?"
_ENDED: Final = f"SELECT seq, {COLUMNS} FROM slurp_tasks WHERE lease_end <= ? ORDER BY lease_end LIMIT ?"
_LEASED: Final = f"SELECT seq, {COLUMNS} FROM slurp_tasks WHERE lease_end IS NOT NULL ORDER BY lease_end"

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(list[Any])


def task_from_row(row: Sequence[Any]) -> Task:
    """``row`` has the columns of ``COLUMNS``; SQLite knows no booleans, so three are made here."""
    values = list(row)
    for position in _BOOLEANS:
        values[position] = bool(values[position])
    return Task(*values)


def task_from_halves(fixed: Sequence[Any], after: bytes) -> Task:
    """A task from its row's ``FIXED_COLUMNS`` and what an entry says of the rest."""
    values = [*fixed, *_DECODER.decode(after)]
    values[_BOOLEANS[0]] = bool(values[_BOOLEANS[0]])
    return Task(*values)


def as_left_by(task: Task, after: bytes) -> Task:
    """The task as an entry left it."""
    return task_from_halves(astuple(task)[:_FIXED], after)


def find(conn: sqlite3.Connection, task_id: str) -> tuple[int, Task]:
    """The task and its row number; ``NotFound`` otherwise."""
    row = conn.execute(_FIND, (task_id,)).fetchone()
    if row is None:
        raise NotFound(f"the ledger has no task {task_id}; bzzz task list shows what there is", task=task_id)
    return row[0], task_from_row(row[1:])


def room(conn: sqlite3.Connection, task_id: str) -> tuple[int, bool]:
    """How many tasks are open, and whether there is a task of this id."""
    open_tasks, exists = conn.execute(_ROOM, (task_id,)).fetchone()
    return open_tasks, bool(exists)


def insert(conn: sqlite3.Connection, task: Task) -> int:
    """Store a new task; gives its row number."""
    conn.execute(_COUNT, (task.state,))
    return cast(int, conn.execute(_INSERT, astuple(task)).lastrowid)


def insert_at(conn: sqlite3.Connection, seq: int, task: Task) -> None:
    """Store a task in the row that it has in the ledger that this is a copy of."""
    conn.execute(_COUNT, (task.state,))
    conn.execute(_INSERT_AT, (seq, *astuple(task)))


def by_number(conn: sqlite3.Connection, seq: int) -> Task:
    """The task in a row that is known to exist."""
    return task_from_row(conn.execute(_BY_NUMBER, (seq,)).fetchone())


def update(conn: sqlite3.Connection, seq: int, before: State, task: Task) -> None:
    """Store what became of a task that was in state ``before``."""
    conn.execute(_UPDATE, (*astuple(task)[_FIXED:], seq))
    if task.state != before:
        conn.execute(_RECOUNT, (task.state, before))


def prolong(conn: sqlite3.Connection, seq: int, task: Task) -> None:
    """``update`` for a lease that only got more time, which is the most frequent change: it touches one index."""
    conn.execute(_PROLONG, (task.updated, task.lease_end, task.grace, seq))


def enter(
    conn: sqlite3.Connection,
    seq: int,
    task: Task,
    *,
    at: float,
    kind: str,
    by: str = LEDGER,
    command: str | None = None,
    raw: bytes | None = None,
    prompt: Placed | None = None,
) -> LedgerEvent:
    """Write an entry; numbers rise by one. ``sqlite3.IntegrityError`` when its author has used the command's id.

    ``prompt`` is the row of the prompt that it is about, and the prompt as it leaves it. An entry that makes an
    earlier one say nothing any more takes that away.
    """
    after = _ENCODER.encode(astuple(task)[_FIXED:])
    place, left = (None, None) if prompt is None else (prompt[0], promptrows.encode(prompt[1]))
    number = conn.execute(_ENTER, (seq, at, kind, by, command, raw, after, place, left)).lastrowid
    supersede(conn, seq, kind, cast(int, number))
    return LedgerEvent(cast(int, number), at, kind, by, task, None if prompt is None else prompt[1])


def supersede(conn: sqlite3.Connection, seq: int, kind: str, number: int) -> None:
    """Take away what entry ``number`` makes superfluous: the one of its kind before it, where the last is enough."""
    if kind in SUPERSEDED:
        conn.execute(_SUPERSEDE, (seq, kind, number))


def last_renewal(conn: sqlite3.Connection, seq: int) -> Renew | None:
    """The last renewal of a task that was accepted, of whatever lease."""
    row = conn.execute(_LAST_OF, (seq, "renewed")).fetchone()
    return None if row is None else cast(Renew, stored_command(row[1]))


def recorded(conn: sqlite3.Connection, by: str, command: str) -> tuple[bytes, Task, Prompt | None] | None:
    """The bytes of an accepted command, the task and the prompt as it left them; None when the id is new."""
    row = conn.execute(_RECORDED, (by, command)).fetchone()
    return None if row is None else (row[0], task_from_halves(row[3:], row[1]), prompt_left(row[2]))


def prompt_left(left: bytes | None) -> Prompt | None:
    """The prompt as an entry left it, for entries about one."""
    return None if left is None else promptrows.decode(left)


def overdue(conn: sqlite3.Connection, wall: float, limit: int) -> list[tuple[int, Task]]:
    return _numbered(conn.execute(_OVERDUE, (wall, limit)))


def ended_leases(conn: sqlite3.Connection, boot: float, limit: int) -> list[tuple[int, Task]]:
    return _numbered(conn.execute(_ENDED, (boot, limit)))


def leased(conn: sqlite3.Connection) -> list[tuple[int, Task]]:
    return _numbered(conn.execute(_LEASED))


def _numbered(rows: Iterable[Sequence[Any]]) -> list[tuple[int, Task]]:
    return [(row[0], task_from_row(row[1:])) for row in rows]


def term(conn: sqlite3.Connection) -> int:
    return cast(int, conn.execute("SELECT term FROM slurp_meta").fetchone()[0])


def raise_term(conn: sqlite3.Connection, above: int) -> None:
    """Make the term higher than it is, and than ``above``."""
    conn.execute("UPDATE slurp_meta SET term = max(term, ?) + 1", (above,))


def incarnation(conn: sqlite3.Connection) -> str:
    """The journal that this ledger was last started in; empty before its first start."""
    return cast(str, conn.execute("SELECT incarnation FROM slurp_meta").fetchone()[0])


def set_incarnation(conn: sqlite3.Connection, incarnation: str) -> None:
    conn.execute("UPDATE slurp_meta SET incarnation = ?", (incarnation,))


def recount(conn: sqlite3.Connection) -> None:
    """Count the tasks of each state anew, after the table was replaced as a whole."""
    conn.execute(
        "UPDATE slurp_counts SET n = (SELECT count(*) FROM slurp_tasks AS t WHERE t.state = slurp_counts.state)"
    )


def forget_ids(conn: sqlite3.Connection, before: float, limit: int) -> int:
    """Make ids of commands entered before ``before`` usable again, in the next ``limit`` entries at most.

    Gives how many it passed. The entries themselves stay: they are the trace; but for those that a later one
    made superfluous before ledgers took them away at once.
    """
    start = conn.execute("SELECT pruned FROM slurp_meta").fetchone()[0]
    rows = conn.execute(
        "SELECT number, at FROM slurp_entries WHERE number > ? ORDER BY number LIMIT ?", (start, limit)
    ).fetchall()
    old = list(takewhile(lambda row: row[1] < before, rows))
    if old:
        end = old[-1][0]
        conn.execute("UPDATE slurp_entries SET command = NULL WHERE number > ? AND number <= ?", (start, end))
        for kind in SUPERSEDED:
            conn.execute(_LEFT_OVER, (start, end, kind))
        conn.execute("UPDATE slurp_meta SET pruned = ?", (end,))
    return len(old)
