"""A copy of the embedded ledger on another node: entries read in order on one side, applied in order on the other.

An entry says everything of what it changed, so a copy is made of entries alone: the first of a task
brings what never changes, every one what the task is after it. A copy knows of which ledger it is
(``incarnation``), and becomes one by ``sqlite.promote``, which takes back leases that counted on
another machine's clock.
"""
# ruff: noqa: S608 - statements are put together from the names of columns alone, never from input.

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta, Struct

from bzzzd.errors import Conflict
from bzzzd.slurp import promptrows, schema, sqlite
from bzzzd.slurp.schema import FIXED_COLUMNS
from bzzzd.slurp.task import LedgerClock, Task

NAME: Final = "slurp_copy"
MAJOR: Final = 1
SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS slurp_copy (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        source TEXT NOT NULL,
        base TEXT NOT NULL,
        based_on INTEGER NOT NULL,
        office INTEGER NOT NULL
    ) STRICT""",
    "INSERT OR IGNORE INTO slurp_copy (one, source, base, based_on, office) VALUES (1, '', '', 0, 0)",
)

_FIXED: Final = Task.__struct_fields__.index("state")
_READ: Final = f"""SELECT number, e.task, at, kind, by, command, raw, after, prompt, left, {FIXED_COLUMNS}
    FROM slurp_entries AS e JOIN slurp_tasks AS t ON t.seq = e.task WHERE number > ? ORDER BY number LIMIT ?"""
_ENTER: Final = """INSERT INTO slurp_entries (number, task, at, kind, by, command, raw, after, prompt, left)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_CLEAR: Final = ("DELETE FROM slurp_entries", "DELETE FROM slurp_tasks", "DELETE FROM slurp_prompts")
_BIRTHS: Final = frozenset({"submitted", "rejected"})
_PROMPT_NAMING: Final = frozenset({"prompt_asked", "prompt_answered"})
_NAMING: Final = _BIRTHS | {"completed", "failed", "struck"}
_BRIEF: Final = Task.__struct_fields__.index("brief")
_NAMED: Final = tuple(schema.CHANGING.index(name) for name in ("result", "detail"))
_AFTER: Final = msgspec.msgpack.Decoder(list[Any])
Text = Annotated[str, Meta(max_length=256)]


class Row(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One entry. ``fixed`` is what never changes of its task, and empty where the copy knows the task already.

    ``prompt`` is the row of the prompt that it is about, and ``left`` the prompt as the entry left it.
    """

    number: Annotated[int, Meta(ge=1, le=2**62)]
    task: Annotated[int, Meta(ge=1, le=2**62)]
    at: float
    kind: Text
    by: Text
    command: Text | None
    raw: Annotated[bytes, Meta(max_length=65_536)] | None
    after: Annotated[bytes, Meta(max_length=65_536)]
    fixed: Annotated[tuple[Any, ...], Meta(max_length=_FIXED)] = ()
    prompt: Annotated[int, Meta(ge=1, le=2**62)] | None = None
    left: Annotated[bytes, Meta(max_length=65_536)] | None = None

    @property
    def size(self) -> int:
        return len(self.raw or b"") + len(self.after) + len(self.left or b"") + 512


def names(row: Row) -> list[str]:
    """The versions that an entry names: the brief of a new task, what a task was ended with, a question, an answer."""
    if row.left is not None and row.kind in _PROMPT_NAMING:
        prompt = promptrows.decode(row.left)
        values = [reply.value for reply in prompt.replies if reply.value is not None]
        return [prompt.version] if row.kind == "prompt_asked" else values
    if row.kind not in _NAMING:
        return []
    left = _AFTER.decode(row.after)
    found = [left[at] for at in _NAMED]
    if row.fixed:
        found.append(row.fixed[_BRIEF])
    return [id for id in found if isinstance(id, str)]


class Standing(NamedTuple):
    """A copy of which ledger (empty: no copy), up to which entry; ``base`` and ``based_on`` say that of its origin.

    ``office`` is the number of the coordinator document under which it was last the ledger itself.
    """

    source: str
    number: int
    base: str
    based_on: int
    office: int


def read(conn: sqlite3.Connection, after: int, limit: int, most_bytes: int) -> list[Row]:
    """Entries that follow ``after``, in order; at least one where there is one."""
    rows: list[Row] = []
    size = 0
    for number, task, at, kind, by, command, raw, changed, prompt, left, *fixed in conn.execute(_READ, (after, limit)):
        birth = tuple(fixed) if kind in _BIRTHS else ()
        row = Row(number, task, at, kind, by, command, raw, changed, birth, prompt, left)
        size += row.size
        if rows and size > most_bytes:
            break
        rows.append(row)
    return rows


def standing(conn: sqlite3.Connection) -> Standing:
    source, base, based_on, office = conn.execute("SELECT source, base, based_on, office FROM slurp_copy").fetchone()
    return Standing(source, _head(conn), base, based_on, office)


def apply(
    conn: sqlite3.Connection, incarnation: str, term: int, after: int, rows: Sequence[Row], *, fresh: bool
) -> int:
    """Add entries to the copy of ``incarnation``; gives the number up to which it goes then.

    What it holds already is passed over. Raises ``Conflict`` when the entries do not follow on what is here.
    """
    if fresh:
        clear(conn)
        conn.execute("UPDATE slurp_copy SET source = ?", (incarnation,))
    held = standing(conn)
    if held.source != incarnation or after > held.number:
        raise Conflict("this copy does not go up to there", source=held.source, number=held.number)
    conn.execute("UPDATE slurp_meta SET term = ?", (term,))
    for row in rows:
        if row.number > held.number:
            _apply(conn, row)
    return _head(conn)


def _apply(conn: sqlite3.Connection, row: Row) -> None:
    if row.command is not None:
        # The ledger forgets ids after their time and a copy may be late with that; the newer use stands.
        conn.execute("UPDATE slurp_entries SET command = NULL WHERE by = ? AND command = ?", (row.by, row.command))
    conn.execute(
        _ENTER,
        (row.number, row.task, row.at, row.kind, row.by, row.command, row.raw, row.after, row.prompt, row.left),
    )
    schema.supersede(conn, row.task, row.kind, row.number)
    if row.prompt is not None and row.left is not None:
        promptrows.put(conn, row.task, row.prompt, promptrows.decode(row.left))
    if row.fixed:
        task = schema.task_from_halves(row.fixed, row.after)
        schema.insert_at(conn, row.task, task)
        return
    known = schema.by_number(conn, row.task)
    schema.update(conn, row.task, known.state, schema.as_left_by(known, row.after))


def clear(conn: sqlite3.Connection) -> None:
    """Empty the ledger's tables."""
    for statement in _CLEAR:
        conn.execute(statement)
    schema.recount(conn)
    conn.execute("UPDATE slurp_meta SET pruned = 0")


def take_office(conn: sqlite3.Connection, office: int, first: int, clock: LedgerClock, incarnation: str) -> bool:
    """Make what is held here the ledger, by the coordinator document number ``office``; whether it was not before.

    The term rises over every one that was heard of, and leases are taken back. The ledger of a mesh's ``first``
    document begins as it is. ``incarnation`` is the journal's.
    """
    held = standing(conn)
    if held.office == office and not held.source:
        return False
    if held.source:
        conn.execute("UPDATE slurp_copy SET base = source, based_on = ?, source = ''", (held.number,))
    conn.execute("UPDATE slurp_copy SET office = ?", (office,))
    if office == first and not held.source:
        return False
    schema.set_incarnation(conn, incarnation)
    sqlite.promote(conn, clock)
    return True


def note_office(conn: sqlite3.Connection, office: int) -> None:
    """Another document names the node that keeps the ledger already."""
    conn.execute("UPDATE slurp_copy SET office = ?", (office,))


def _head(conn: sqlite3.Connection) -> int:
    found: int = conn.execute("SELECT coalesce(max(number), 0) FROM slurp_entries").fetchone()[0]
    return found
