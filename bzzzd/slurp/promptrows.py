"""The embedded ledger's table of prompts: a row holds the prompt as it is now, whole, beside what is looked up by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec

from bzzzd.errors import NotFound
from bzzzd.slurp.prompt import Prompt

TABLE: Final = """CREATE TABLE IF NOT EXISTS slurp_prompts (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        task INTEGER NOT NULL,
        action TEXT NOT NULL,
        state TEXT NOT NULL,
        live INTEGER NOT NULL,
        looks_at REAL,
        prompt BLOB NOT NULL
    ) STRICT"""
WIDTH: Final = ("slurp_prompts", 8)
INDEXES: Final = (
    "CREATE INDEX IF NOT EXISTS slurp_prompts_live ON slurp_prompts (task) WHERE live = 1",
    "CREATE INDEX IF NOT EXISTS slurp_prompts_state ON slurp_prompts (state)",
    "CREATE INDEX IF NOT EXISTS slurp_prompts_action ON slurp_prompts (task, action)",
    "CREATE INDEX IF NOT EXISTS slurp_prompts_time ON slurp_prompts (looks_at) WHERE looks_at IS NOT NULL",
)

_PUT: Final = """INSERT INTO slurp_prompts (seq, id, task, action, state, live, looks_at, prompt)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO UPDATE SET
    state = excluded.state, live = excluded.live, looks_at = excluded.looks_at, prompt = excluded.prompt"""
_NEXT: Final = "SELECT coalesce(max(seq), 0) + 1 FROM slurp_prompts"
_FIND: Final = "SELECT seq, prompt FROM slurp_prompts WHERE id = ?"
_LIVE: Final = "SELECT seq, prompt FROM slurp_prompts WHERE task = ? AND live = 1 ORDER BY seq"
_OF_TASK: Final = "SELECT seq, prompt FROM slurp_prompts WHERE task = ? ORDER BY seq"
_LATEST: Final = "SELECT seq, prompt FROM slurp_prompts WHERE task = ? AND action = ? ORDER BY seq DESC LIMIT 1"
_TIMELY: Final = "SELECT task, seq, prompt FROM slurp_prompts WHERE looks_at <= ? ORDER BY looks_at LIMIT ?"
_FIRST_TIME: Final = "SELECT min(looks_at) FROM slurp_prompts WHERE looks_at IS NOT NULL"
_LIVE_COUNT: Final = "SELECT count(*) FROM slurp_prompts WHERE live = 1"

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Prompt)

Placed = tuple[int, Prompt]


def encode(prompt: Prompt) -> bytes:
    return _ENCODER.encode(prompt)


def decode(raw: bytes) -> Prompt:
    """Raises ``msgspec.DecodeError`` for bytes that are none, which only a backup from elsewhere can have."""
    return _DECODER.decode(raw)


def next_seq(conn: sqlite3.Connection) -> int:
    return cast(int, conn.execute(_NEXT).fetchone()[0])


def put(conn: sqlite3.Connection, task: int, seq: int, prompt: Prompt) -> None:
    """Store a prompt of the task in row ``task``, new or changed."""
    row = (seq, prompt.id, task, prompt.action, prompt.state, prompt.live, prompt.looks_at, encode(prompt))
    conn.execute(_PUT, row)


def exists(conn: sqlite3.Connection, prompt_id: str) -> bool:
    return conn.execute(_FIND, (prompt_id,)).fetchone() is not None


def find(conn: sqlite3.Connection, prompt_id: str) -> Placed:
    """The prompt and its row number; ``NotFound`` otherwise."""
    row = conn.execute(_FIND, (prompt_id,)).fetchone()
    if row is None:
        raise NotFound(f"the ledger has no prompt {prompt_id}; bzzz prompt list shows what there is", prompt=prompt_id)
    return row[0], decode(row[1])


def live_of(conn: sqlite3.Connection, task: int) -> list[Placed]:
    """Prompts of a task that something can become of still."""
    return _placed(conn.execute(_LIVE, (task,)))


def of_task(conn: sqlite3.Connection, task: int) -> list[Placed]:
    """Every prompt of a task, oldest first."""
    return _placed(conn.execute(_OF_TASK, (task,)))


def latest(conn: sqlite3.Connection, task: int, action: str) -> Placed | None:
    """The last prompt of a task about this action."""
    found = _placed(conn.execute(_LATEST, (task, action)))
    return found[0] if found else None


def timely(conn: sqlite3.Connection, wall: float, limit: int) -> list[tuple[int, int, Prompt]]:
    """(row of the task, row, prompt) of those that time changes by the Unix time ``wall``."""
    return [(task, seq, decode(raw)) for task, seq, raw in conn.execute(_TIMELY, (wall, limit))]


def first_time(conn: sqlite3.Connection) -> float | None:
    """The Unix time at which time changes one next."""
    return cast("float | None", conn.execute(_FIRST_TIME).fetchone()[0])


def count_live(conn: sqlite3.Connection) -> int:
    return cast(int, conn.execute(_LIVE_COUNT).fetchone()[0])


def _placed(rows: Iterable[Any]) -> list[Placed]:
    return [(seq, decode(raw)) for seq, raw in rows]
