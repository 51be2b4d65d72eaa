"""Reading the embedded ledger: lists, traces, events and counts, each through an index."""
# ruff: noqa: S608 - statements are put together from the names of columns alone, never from input.

from __future__ import annotations

import sqlite3
from typing import Final, cast

from bzzzd.errors import BadInput
from bzzzd.slurp import promptrows, schema
from bzzzd.slurp.ledger import EventPage, LedgerEvent, PromptPage, Rules, Status, Step, TaskPage
from bzzzd.slurp.prompt import Prompt, PromptState
from bzzzd.slurp.schema import COLUMNS, FIXED_COLUMNS
from bzzzd.slurp.task import LEASED, State, Task

MAX_PAGE: Final = 1000
_NEWEST: Final = 2**62

_PAGE: Final = f"SELECT {COLUMNS} FROM slurp_tasks WHERE seq < ? {{}} ORDER BY seq DESC LIMIT ?"
_ALL: Final = _PAGE.format("")
_BY_STATE: Final = _PAGE.format("AND state = ?")
_BY_PROJECT: Final = _PAGE.format("AND project = ?")
_BY_BOTH: Final = _PAGE.format("AND state = ? AND project = ?")
_DEAD: Final = _PAGE.format("AND dead = 1")
_OPEN: Final = f"""SELECT {COLUMNS} FROM slurp_tasks
    WHERE state = 'submitted' AND role = ? AND capability = ? ORDER BY priority DESC, seq LIMIT ?"""
_NEED: Final = "SELECT role, capability FROM slurp_tasks INDEXED BY slurp_open WHERE state = 'submitted'"
_FIRST_NEED: Final = f"{_NEED} ORDER BY role, capability LIMIT 1"
_NEXT_NEED: Final = f"{_NEED} AND (role, capability) > (?, ?) ORDER BY role, capability LIMIT 1"
_RETRIES: Final = "SELECT id FROM slurp_tasks WHERE retry_of = ? ORDER BY seq"
_TRACE: Final = """SELECT number, at, kind, by, raw, after, left FROM slurp_entries
    WHERE task = ? AND number > ? ORDER BY number LIMIT ?"""
_EVENTS: Final = f"""SELECT number, at, kind, by, after, left, {FIXED_COLUMNS} FROM slurp_entries
    JOIN slurp_tasks ON slurp_tasks.seq = slurp_entries.task WHERE number > ? ORDER BY number LIMIT ?"""
_PROMPTS: Final = "SELECT prompt FROM slurp_prompts WHERE {} ORDER BY seq DESC LIMIT ?"
_COUNTS: Final = "SELECT state, n FROM slurp_counts"
_HEAD: Final = "SELECT coalesce(max(number), 0) FROM slurp_entries"
_DEAD_COUNT: Final = "SELECT count(*) FROM slurp_tasks WHERE dead = 1"


def show(conn: sqlite3.Connection, task_id: str) -> Task:
    return schema.find(conn, task_id)[1]


def list_tasks(
    conn: sqlite3.Connection,
    *,
    state: State | None = None,
    project: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> TaskPage:
    """Newest first; ``after`` is the last id of the page before."""
    if state is not None and project is not None:
        return _page(conn, _BY_BOTH, (state, project), limit, after)
    if state is not None:
        return _page(conn, _BY_STATE, (state,), limit, after)
    if project is not None:
        return _page(conn, _BY_PROJECT, (project,), limit, after)
    return _page(conn, _ALL, (), limit, after)


def dead_letters(conn: sqlite3.Connection, *, limit: int = 100, after: str | None = None) -> TaskPage:
    """Tasks that failed by their strikes, newest first."""
    return _page(conn, _DEAD, (), limit, after)


def _page(conn: sqlite3.Connection, statement: str, values: tuple[str, ...], limit: int, after: str | None) -> TaskPage:
    _check_limit(limit)
    before = _NEWEST if after is None else schema.find(conn, after)[0]
    rows = conn.execute(statement, (before, *values, limit + 1)).fetchall()
    tasks = tuple(schema.task_from_row(row) for row in rows[:limit])
    return TaskPage(tasks, tasks[-1].id if len(rows) > limit else None)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise BadInput(f"a page has 1 to {MAX_PAGE} entries, not {limit}", limit=limit)


def open_needs(conn: sqlite3.Connection) -> list[tuple[str, str]]:
    """Every (role, capability) that an open task asks for; hops from one to the next, not over the tasks."""
    needs = []
    row = conn.execute(_FIRST_NEED).fetchone()
    while row is not None:
        needs.append((row[0], row[1]))
        row = conn.execute(_NEXT_NEED, needs[-1]).fetchone()
    return needs


def open_tasks(conn: sqlite3.Connection, role: str, capability: str, limit: int) -> list[Task]:
    """Open tasks that ask for exactly this: by priority, then age."""
    return [schema.task_from_row(row) for row in conn.execute(_OPEN, (role, capability, limit))]


def retries(conn: sqlite3.Connection, task_id: str) -> list[str]:
    return [row[0] for row in conn.execute(_RETRIES, (task_id,))]


def trace(conn: sqlite3.Connection, task_id: str, *, limit: int = MAX_PAGE, after: int = 0) -> list[Step]:
    """The task's entries with a number over ``after``, in order."""
    _check_limit(limit)
    seq, now = schema.find(conn, task_id)
    steps = []
    for number, at, kind, by, raw, changed, left in conn.execute(_TRACE, (seq, after, limit)):
        then, prompt = schema.as_left_by(now, changed), schema.prompt_left(left)
        detail = _detail(kind, then) if prompt is None else _prompt_detail(prompt)
        steps.append(Step(number, at, kind, by, then.state, detail, raw))
    return steps


def _detail(kind: str, then: Task) -> str:
    if kind == "claimed":
        return f"token {then.term}.{then.counter} for {then.lease_s:g} s"
    if kind == "completed":
        return then.address or ""
    if then.retry_of is not None and kind == "submitted":
        return f"retry of {then.retry_of}"
    if then.reason is None or then.state in LEASED:
        return ""
    return f"{then.reason}, strike {then.strikes}" if kind in ("struck", "lease_ended") else then.reason


def _prompt_detail(prompt: Prompt) -> str:
    word = prompt.verdict or prompt.reason
    return f"{prompt.id}: {word}" if word and prompt.state != "seen" else prompt.id


def list_prompts(
    conn: sqlite3.Connection,
    *,
    live: bool = False,
    state: PromptState | None = None,
    task: str | None = None,
    limit: int = 100,
    after: str | None = None,
) -> PromptPage:
    """Newest first; ``after`` is the last id of the page before."""
    _check_limit(limit)
    wheres: list[str] = ["seq < ?"]
    values: list[object] = [_NEWEST if after is None else promptrows.find(conn, after)[0]]
    if live:
        wheres.append("live = 1")
    if state is not None:
        wheres.append("state = ?")
        values.append(state)
    if task is not None:
        wheres.append("task = ?")
        values.append(schema.find(conn, task)[0])
    rows = conn.execute(_PROMPTS.format(" AND ".join(wheres)), (*values, limit + 1)).fetchall()
    prompts = tuple(promptrows.decode(raw) for (raw,) in rows[:limit])
    return PromptPage(prompts, prompts[-1].id if len(rows) > limit else None)


def head(conn: sqlite3.Connection) -> int:
    """The number of the last entry; 0 in a new ledger."""
    return cast(int, conn.execute(_HEAD).fetchone()[0])


def events(conn: sqlite3.Connection, rules: Rules, since: int, limit: int = 500) -> EventPage:
    """What happened after entry ``since``; a cursor that is too old, or ahead of the ledger, is told to reset."""
    _check_limit(limit)
    last = head(conn)
    if since > last or since < last - rules.events_keep:
        return EventPage((), last, reset=True)
    rows = conn.execute(_EVENTS, (since, limit)).fetchall()
    return EventPage(
        tuple(
            LedgerEvent(number, at, kind, by, schema.task_from_halves(fixed, after), schema.prompt_left(left))
            for number, at, kind, by, after, left, *fixed in rows
        ),
        last,
    )


def counts(conn: sqlite3.Connection) -> dict[str, int]:
    """How many tasks are in each state; kept with every change, so it costs the same at any size."""
    return dict(conn.execute(_COUNTS).fetchall())


def status(conn: sqlite3.Connection, incarnation: str) -> Status:
    """``incarnation`` is the journal's; with the term it names a run of entry numbers."""
    found, term = counts(conn), schema.term(conn)
    return Status(
        engine="embedded",
        durability="single",
        term=term,
        incarnation=f"{incarnation}-{term}",
        head=head(conn),
        counts=found,
        dead_letters=conn.execute(_DEAD_COUNT).fetchone()[0],
        leases=sum(found[state] for state in LEASED),
    )
