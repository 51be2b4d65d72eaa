"""Places to keep state in: a plain folder, and a disk that can be filled."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bzzzd.storage.journal.journal import Journal, Schema

NOTES = Schema("notes", 1, ("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",))

Opener = Callable[..., Awaitable[Journal]]


@pytest.fixture
async def open_journal(tmp_path: Path) -> AsyncIterator[Opener]:
    """Open journals that are closed at the end of the test."""
    opened: list[Journal] = []

    async def opener(path: Path | None = None, schemas: Sequence[Schema] = (NOTES,), **options: int) -> Journal:
        journal = await Journal.open(path or tmp_path / "state" / "journal.sqlite", schemas, **options)
        opened.append(journal)
        return journal

    yield opener
    for journal in opened:
        await journal.close()


@pytest.fixture
async def journal(open_journal: Opener) -> Journal:
    return await open_journal()


@dataclass
class SmallDisk:
    """Four MiB that a test fills and frees; without the right to mount, SQLite's page limit stands in."""

    folder: Path
    mounted: bool

    async def fill(self, journal: Journal, left: int) -> None:
        """Leave about ``left`` bytes."""
        if self.mounted:
            free = os.statvfs(self.folder)
            (self.folder / "ballast").write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - left)))
        else:
            await journal.write(lambda connection: _limit(connection, left))

    async def free(self, journal: Journal) -> None:
        if self.mounted:
            (self.folder / "ballast").unlink()
        else:
            await journal.write(lambda connection: _limit(connection, 1 << 30))


def _limit(connection: sqlite3.Connection, left: int) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count={pages + left // 4096}").fetchall()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    place = tmp_path / "small"
    place.mkdir(mode=0o700)
    options = ["-t", "tmpfs", "-o", "size=4m,mode=0700", "bzzz-test", str(place)]
    program = shutil.which("mount")
    mounted = program is not None and subprocess.run([program, *options], capture_output=True).returncode == 0
    try:
        yield SmallDisk(place, mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)
