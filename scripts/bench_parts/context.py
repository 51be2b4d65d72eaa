"""Context put and get beside the same work with pyrage and SQLite alone: 1 KiB each, 64 in flight.

What is done for one put: verify the author's signature and rights, check the plaintext against the
signed digest, encrypt for the readers, store the ciphertext under its SHA-256 and the header as a
version with its number and heads, durably. The headers are signed before the clock starts: that is
the writer's work, in another process. The readers are those that ``etc/roles.yaml`` gives to a
worker's text (the default role of an agent). Gets come from a store that has put nothing, so they
read and decrypt; the last row is what memory gives.

The baseline does in one thread, without loop or objects: ``pyrage.encrypt`` for one recipient (age
takes as long again for each further one), one row with the ciphertext under its SHA-256 and one with
the same header bytes under theirs, 64 to a ``BEGIN IMMEDIATE … COMMIT``, with the same settings (WAL,
``synchronous=FULL``, one connection); and for a get one ``SELECT`` of both rows and
``pyrage.decrypt`` with the one identity.

Rounds of both alternate, each in fresh files in the same folder; ratios are medians of rounds.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyrage
import uvloop
import yaml
from pyrage import x25519

from bzzzd.config.roles import RolesFile
from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.caller import Caller
from bzzzd.identity.policy import Policy, PolicyRecord
from bzzzd.storage.journal.journal import Journal
from bzzzd.storage.versions.content import ContentStore
from bzzzd.storage.versions.context import SCHEMAS, ContextStore
from bzzzd.storage.versions.rolekeys import RoleKeys
from bzzzd.ucxl.version import make_header, seal_version

Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
MESH, AGENT, ROLE = "bench", "bencher", "worker"
SIZE, IN_FLIGHT, ASKED = 1024, 64, 0.5


class Item(NamedTuple):
    """One version, signed and ready to be put."""

    address: str
    header: bytes
    content: bytes


class Rates(NamedTuple):
    """Operations a second; ``again`` is a get of what this process has put or got just before."""

    put: float
    get: float
    again: float = 0.0


def run(quick: bool) -> list[Row]:
    count, rounds = (640, 2) if quick else (1920, 5)
    # Not /tmp, which may be in memory, where nothing is durable and fsync costs nothing.
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="bzzz-bench-") as folder:
        readers = policy_readers()
        ours, base = measure(Path(folder), readers, count, rounds)
    several = f"{len(readers)} readers"
    return [
        row(f"context put, 1 KiB, 64 in flight, {several}", ours, base, "put"),
        row(f"context get, 1 KiB, 64 in flight, {several}, not cached", ours, base, "get"),
        row("context get of what was just put or got", ours, base, "again"),
    ]


def row(name: str, ours: list[Rates], base: list[Rates], what: str) -> Row:
    theirs = "get" if what == "again" else what
    ratio = statistics.median(
        getattr(mine, what) / getattr(bare, theirs) for mine, bare in zip(ours, base, strict=True)
    )
    return {
        "name": name,
        "asked": f"{ASKED} x pyrage and SQLite alone",
        "measured": round(statistics.median(getattr(one, what) for one in ours), 1),
        "baseline": round(statistics.median(getattr(one, theirs) for one in base), 1),
        "ratio": round(ratio, 3),
        "unit": "a second",
        "ok": ratio >= ASKED,
    }


def policy_readers() -> list[str]:
    """The roles that the shipped policy lets read a worker's text."""
    shipped = msgspec.convert(yaml.safe_load((ROOT / "etc" / "roles.yaml").read_text()), RolesFile)
    return list(Policy(PolicyRecord(number=1, at=0.0, roles=shipped)).recipients(ROLE, "text/plain"))


def measure(place: Path, readers: list[str], count: int, rounds: int) -> tuple[list[Rates], list[Rates]]:
    key = SigningKey.generate()
    keys = RoleKeys.found(place / "roles", MESH, key, readers, time.time())
    items = [make_item(number, key, readers) for number in range(count)]
    ours, base = [], []
    for number in range(rounds):
        base.append(baseline(place / f"base-{number}.sqlite", items))
        ours.append(uvloop.run(context(place / f"ours-{number}", items, keys, key)))
    return ours, base


def make_item(number: int, key: SigningKey, readers: list[str]) -> Item:
    content = os.urandom(SIZE)
    address = f"ucxl://{AGENT}:{ROLE}@bench:task-{number}/*^/notes"
    header = make_header(
        address=address, author=AGENT, plaintext=content, readers=readers, epoch=1, at=time.time() - 3600
    )
    return Item(address, seal_version(key, MESH, header), content)


def baseline(path: Path, items: list[Item]) -> Rates:
    """The least that leaves the same bytes safe on disk, and the least that reads them back."""
    identity = [x25519.Identity.generate()]
    recipients = [identity[0].to_public()]
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in (
        "PRAGMA locking_mode=EXCLUSIVE",
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE content (hash BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT",
        "CREATE TABLE versions (id BLOB PRIMARY KEY, content BLOB NOT NULL, header BLOB NOT NULL) STRICT",
    ):
        connection.execute(statement)
    ids = [hashlib.sha256(item.header).digest() for item in items]
    began = time.perf_counter()
    for start in range(0, len(items), IN_FLIGHT):
        connection.execute("BEGIN IMMEDIATE")
        for item in items[start : start + IN_FLIGHT]:
            data = pyrage.encrypt(item.content, recipients)
            name = hashlib.sha256(data).digest()
            connection.execute("INSERT INTO content VALUES (?, ?)", (name, data))
            id = hashlib.sha256(item.header).digest()
            connection.execute("INSERT INTO versions VALUES (?, ?, ?)", (id, name, item.header))
        connection.execute("COMMIT")
    put = len(items) / (time.perf_counter() - began)
    began = time.perf_counter()
    for item, id in zip(items, ids, strict=True):
        (_, data) = connection.execute(
            "SELECT header, data FROM versions JOIN content ON hash = content WHERE id = ?", (id,)
        ).fetchone()
        if pyrage.decrypt(data, identity) != item.content:
            raise RuntimeError("the baseline read something else than it wrote")
    get = len(items) / (time.perf_counter() - began)
    connection.close()
    return Rates(put, get)


async def context(place: Path, items: list[Item], keys: RoleKeys, key: SigningKey) -> Rates:
    writer = Caller(os.getuid(), os.getgid(), os.getpid(), "agent", AGENT, ROLE, frozenset(), key.public)
    journal = await Journal.open(place / "journal.sqlite", SCHEMAS)
    content = await ContentStore.open(journal, place / "content")

    def store() -> ContextStore:
        return ContextStore(journal, content, keys, MESH, may_write=lambda writer, address: False)

    async def put(contexts: ContextStore, item: Item) -> None:
        await contexts.put(item.header, item.content, writer)

    async def get(contexts: ContextStore, item: Item) -> None:
        if (await contexts.get(item.address, (ROLE,))).content != item.content:
            raise RuntimeError("the context store read something else than it wrote")

    first, fresh = store(), store()  # one that has put nothing holds no plaintext yet
    puts = await rate(items, lambda item: put(first, item))
    gets = await rate(items, lambda item: get(fresh, item))
    again = await rate(items, lambda item: get(fresh, item))
    await journal.close()
    return Rates(puts, gets, again)


async def rate(items: list[Item], work: Callable[[Item], Awaitable[None]]) -> float:
    """Work on every item once, 64 at any time; items a second."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    began = time.perf_counter()
    await asyncio.gather(*[worker() for _ in range(IN_FLIGHT)])
    return len(items) / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
