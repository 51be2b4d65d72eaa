from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bzzzd.errors import StaleToken, StorageFailed
from bzzzd.slurp.embedded import EmbeddedLedger
from bzzzd.slurp.ledger import Backup
from bzzzd.slurp.schema import MAJOR, NAME, SCHEMA
from bzzzd.storage.journal.journal import Journal, Schema

from .conformance import LedgerConformance, World
from .kit import Clock, InlineJournal, raw_of, rules
from .prompt_conformance import PromptConformance


def embedded(journal: Any, **changed: Any) -> World:
    clock = Clock()
    return World(EmbeddedLedger(journal, rules(**changed), clock), clock)


class TestEmbedded(LedgerConformance, PromptConformance):
    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        journal = InlineJournal()
        yield embedded(journal)
        await journal.close()

    @pytest.fixture
    async def revoking(self) -> AsyncIterator[World]:
        """A ledger in whose mesh mallory's grant has been revoked by the time anything is begun."""
        journal = InlineJournal()
        yield embedded(journal, holds=lambda reply: reply.by != "mallory")
        await journal.close()

    @pytest.fixture
    async def crowded(self) -> AsyncIterator[World]:
        journal = InlineJournal()
        yield embedded(journal, max_open=2)
        await journal.close()


class TestOnTheRealJournal:
    @pytest.fixture
    async def journal(self, tmp_path: Path) -> AsyncIterator[Journal]:
        folder = tmp_path / "state"
        journal = await Journal.open(folder / "journal.sqlite", [Schema(NAME, MAJOR, SCHEMA)])
        yield journal
        await journal.close()

    async def test_the_version_of_a_command_is_stored_with_it_or_not_at_all(self, journal: Journal) -> None:
        world = embedded(journal)
        await journal.write(lambda conn: conn.execute("CREATE TABLE versions (id TEXT)"))

        def store(conn: sqlite3.Connection) -> None:
            conn.execute("INSERT INTO versions VALUES ('v')")

        def fail(conn: sqlite3.Connection) -> None:
            store(conn)
            raise StorageFailed("no")

        command = world.maker.command("submit", "t-1")
        raw = raw_of(world.alice, command)
        with pytest.raises(StorageFailed):
            await world.ledger.execute(world.alice.author, command, raw, fail)
        assert (await world.ledger.list_tasks()).tasks == ()
        for _ in range(2):
            await world.ledger.execute(world.alice.author, command, raw, store)
        assert await journal.read(lambda conn: conn.execute("SELECT count(*) FROM versions").fetchone()) == (1,)

    async def test_a_refused_restore_leaves_the_ledger_and_the_journal_as_they_were(
        self, journal: Journal, tmp_path: Path
    ) -> None:
        world = embedded(journal)
        task = await world.submit()
        broken = tmp_path / "broken"
        broken.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
        with pytest.raises(Exception, match="broken"):
            await world.ledger.restore(Backup(broken, 1, 1, 1))
        assert await world.state(task) == "submitted"
        assert journal.failure is None

    async def test_a_journal_put_back_from_its_copy_raises_the_term(self, journal: Journal, tmp_path: Path) -> None:
        world = embedded(journal)
        await world.ledger.start()
        task, token = await world.held()
        copy = tmp_path / "state" / "copy.sqlite"
        await journal.backup(copy)
        other = await Journal.open(copy, [Schema(NAME, MAJOR, SCHEMA)])
        try:
            again = EmbeddedLedger(other, rules(), world.clock)
            assert [event.kind for event in (await again.start()).events] == ["lease_dropped"]
            command = world.maker.command("complete", task.id, token)
            with pytest.raises(StaleToken):
                await again.execute(world.bob.author, command, raw_of(world.bob, command))
        finally:
            await other.close()
