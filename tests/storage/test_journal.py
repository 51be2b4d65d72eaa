from __future__ import annotations

import asyncio
import errno
import os
import random
import sqlite3
import sys
import threading
from collections.abc import Callable

import pytest

from bzzzd.errors import AlreadyRunning, BzzzError, DiskFull, NotReady, Overloaded, StorageFailed
from bzzzd.storage.journal.database import Opened, open_database
from bzzzd.storage.journal.journal import Journal, Schema

Work = Callable[[sqlite3.Connection], object]


def put(number: int, body: bytes = b"x") -> Callable[[sqlite3.Connection], int]:
    def work(connection: sqlite3.Connection) -> int:
        connection.execute("INSERT INTO notes (id, body) VALUES (?, ?)", (number, body))
        return number

    return work


def count(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("SELECT count(*) FROM notes").fetchone()[0]
    return found


def ids(connection: sqlite3.Connection) -> list[int]:
    return [row[0] for row in connection.execute("SELECT id FROM notes ORDER BY id")]


async def test_a_write_gives_its_result_and_is_there_after_reopening(open_journal, tmp_path):
    journal = await open_journal()
    assert await journal.write(put(7)) == 7
    await journal.close()
    again = await open_journal()
    assert await again.read(ids) == [7]


async def test_the_incarnation_stays_with_the_file_and_the_boot_counter_rises(open_journal):
    first = await open_journal()
    await first.close()
    second = await open_journal()
    assert (first.incarnation, first.boot) == (second.incarnation, 1)
    assert second.boot == 2
    assert len(first.incarnation) == 32


async def test_ten_thousand_writes_in_flight_keep_their_order(journal):
    order: list[int] = []

    def work(number: int) -> Work:
        def run(connection: sqlite3.Connection) -> int:
            connection.execute("INSERT INTO notes (id, body) VALUES (?, ?)", (number, b""))
            order.append(number)
            return number

        return run

    results = await asyncio.gather(*[journal.write(work(number)) for number in range(10_000)])
    assert results == list(range(10_000)) == order
    assert await journal.read(count) == 10_000
    assert journal.figures.writes == 10_000
    assert journal.figures.commits < 200
    assert journal.figures.pending == 0


async def test_an_exception_undoes_its_own_operation_only(journal):
    def fail_late(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes (id, body) VALUES (1000, x'00')")
        raise KeyError("mine")

    writes = [journal.write(fail_late if number % 3 == 0 else put(number)) for number in range(300)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(result) for result in results] == [KeyError if number % 3 == 0 else int for number in range(300)]
    assert await journal.read(ids) == [number for number in range(300) if number % 3]


async def test_a_broken_constraint_reaches_its_caller_as_it_is(journal):
    await journal.write(put(1))
    with pytest.raises(sqlite3.IntegrityError):
        await journal.write(put(1))
    assert journal.failure is None
    assert journal.fault is None


async def test_a_read_sees_what_was_acknowledged_before_it(journal):
    for number in range(50):
        await journal.write(put(number))
        assert await journal.read(count) == number + 1


async def test_a_read_never_sees_what_may_still_be_undone(journal):
    gate, entered = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes (id, body) VALUES (1, x'')")
        entered.set()
        gate.wait(30)
        raise ValueError("undone")

    write = journal.write(slow)
    await asyncio.to_thread(entered.wait, 30)
    read = journal.read(count)
    gate.set()
    assert await read == 0
    with pytest.raises(ValueError, match="undone"):
        await write


async def test_a_read_that_writes_is_refused(journal):
    with pytest.raises(StorageFailed):
        await journal.read(put(1))
    assert await journal.write(put(2)) == 2
    assert await journal.read(ids) == [2]


async def test_a_caller_that_left_before_its_turn_is_passed_over(journal):
    gate = threading.Event()
    first = journal.write(lambda connection: gate.wait(30))
    second = journal.write(put(1))
    second.cancel()
    third = journal.write(put(2))
    gate.set()
    await first
    assert await third == 2
    assert await journal.read(ids) == [2]
    assert journal.figures.pending == 0


async def test_a_full_queue_refuses_at_once_and_serves_again_when_it_has_drained(open_journal):
    journal = await open_journal(max_pending=10)
    gate = threading.Event()
    writes = [journal.write(lambda connection: gate.wait(30)), *[journal.write(put(number)) for number in range(9)]]
    with pytest.raises(Overloaded):
        await journal.write(put(99))
    gate.set()
    await asyncio.gather(*writes)
    assert await journal.write(put(10)) == 10


async def test_closing_makes_everything_durable_first_and_refuses_afterwards(open_journal):
    journal = await open_journal()
    writes = [journal.write(put(number)) for number in range(2000)]
    await journal.close()
    assert [write.result() for write in writes] == list(range(2000))
    assert journal.ended.done()
    assert journal.failure is None
    with pytest.raises(NotReady):
        await journal.write(put(1))
    await journal.close()
    assert await (await open_journal()).read(count) == 2000


async def test_a_second_opener_is_told_that_somebody_is_there(open_journal):
    await open_journal()
    with pytest.raises(AlreadyRunning, match="has the journal"):
        await open_journal()


async def test_the_journal_on_disk_is_private(journal, tmp_path):
    await journal.write(put(1))
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()}
    assert modes == {"journal.sqlite": 0o600, "journal.sqlite-wal": 0o600}
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


async def test_a_newer_major_on_disk_is_refused_and_left_alone(open_journal):
    newer = Schema("notes", 2, ("CREATE TABLE IF NOT EXISTS more (id INTEGER) STRICT",))
    journal = await open_journal(schemas=[newer])
    boot = journal.boot
    await journal.close()
    with pytest.raises(StorageFailed, match=r"major 2.*reads major 1.*newer bzzzd"):
        await open_journal()
    again = await open_journal(schemas=[newer])
    assert again.boot == boot + 1


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000, b"x"])
async def test_garbage_in_place_of_the_journal_is_refused_with_what_to_do(open_journal, tmp_path, content):
    path = tmp_path / "state" / "journal.sqlite"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    with pytest.raises(StorageFailed, match="put a backup in its place"):
        await open_journal()
    assert path.read_bytes() == content


async def test_a_database_of_another_program_is_refused_and_left_alone(open_journal, tmp_path):
    path = tmp_path / "state" / "journal.sqlite"
    path.parent.mkdir(mode=0o700)
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (id)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StorageFailed, match="another program"):
        await open_journal()
    assert path.read_bytes() == before


async def test_damage_ends_the_thread_and_the_owner_notices(open_journal, tmp_path):
    journal = await open_journal()
    await asyncio.gather(*[journal.write(put(number, os.urandom(900))) for number in range(2000)])
    await journal.close()
    path = tmp_path / "state" / "journal.sqlite"
    with path.open("r+b") as file:
        file.seek(40_960)
        file.write(os.urandom(path.stat().st_size - 40_960))
    damaged = await open_journal()
    with pytest.raises(StorageFailed, match="damaged"):
        await damaged.read(lambda connection: connection.execute("SELECT sum(length(body)) FROM notes").fetchall())
    await asyncio.wait_for(asyncio.wait([damaged.ended]), 10)
    assert isinstance(damaged.failure, StorageFailed)
    assert damaged.ended.exception() is damaged.failure
    with pytest.raises(StorageFailed, match="damaged"):
        await damaged.write(put(1))


async def test_the_check_finds_damage(open_journal, tmp_path):
    journal = await open_journal()
    assert await journal.check() == []
    await asyncio.gather(*[journal.write(put(number, os.urandom(900))) for number in range(500)])
    await journal.close()
    path = tmp_path / "state" / "journal.sqlite"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(12000))
    damaged = await open_journal()
    assert await damaged.check() != []


async def test_a_thread_that_dies_of_a_bug_fails_every_caller_and_is_noticed(journal):
    def die(connection: sqlite3.Connection) -> None:
        raise SystemExit(3)

    gate, entered = threading.Event(), threading.Event()
    first = journal.write(lambda connection: (entered.set(), gate.wait(30)))
    await asyncio.to_thread(entered.wait, 30)
    writes = [journal.write(put(1)), journal.write(die), journal.write(put(2))]
    gate.set()
    await first
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert all(isinstance(result, StorageFailed) for result in results)
    await asyncio.wait_for(asyncio.wait([journal.ended]), 10)
    assert journal.failure is not None
    assert "SystemExit" in journal.failure.message


async def test_a_write_that_ends_the_transaction_itself_fails_its_group(journal):
    with pytest.raises(StorageFailed, match="undone"):
        await journal.write(lambda connection: connection.execute("ROLLBACK"))
    assert await journal.write(put(1)) == 1


async def test_a_full_disk_fails_clearly_and_writes_work_again_when_there_is_space(open_journal, small_disk):
    path = small_disk.folder / "journal.sqlite"
    journal = await open_journal(path)
    await journal.write(put(0))
    await small_disk.fill(journal, 300_000)
    good = [0]
    with pytest.raises(DiskFull, match="full"):
        for number in range(1, 400):
            good.append(await journal.write(put(number, os.urandom(20_000))))
    assert isinstance(journal.fault, DiskFull)
    assert journal.failure is None
    assert await journal.read(ids) == good
    await small_disk.free(journal)
    await journal.write(put(9999, os.urandom(20_000)))
    assert journal.fault is None
    assert await journal.check() == []
    await journal.close()
    again = await open_journal(path)
    assert await again.read(ids) == [*good, 9999]


async def test_a_group_that_does_not_fit_fails_whole_and_each_caller_hears_of_it(open_journal, small_disk):
    journal = await open_journal(small_disk.folder / "journal.sqlite")
    await journal.write(put(1000))
    await small_disk.fill(journal, 300_000)
    results = await asyncio.gather(
        *[journal.write(put(number, os.urandom(20_000))) for number in range(100)], return_exceptions=True
    )
    kept = [result for result in results if isinstance(result, int)]
    assert all(isinstance(result, int | DiskFull) for result in results)
    assert len(kept) < 100
    assert await journal.read(ids) == [*kept, 1000]
    assert await journal.check() == []


async def test_a_disk_that_is_full_at_the_start_is_said_so(small_disk, open_journal, journal):
    await small_disk.fill(journal, 4096)
    if small_disk.mounted:
        with pytest.raises(DiskFull):
            await open_journal(small_disk.folder / "journal.sqlite")
        (small_disk.folder / "journal.sqlite").unlink(missing_ok=True)
    await small_disk.free(journal)
    await open_journal(small_disk.folder / "journal.sqlite")


async def test_a_failed_sync_ends_the_journal_because_nobody_knows_what_is_on_the_disk(open_journal, monkeypatch):
    class Failing(sqlite3.Connection):
        armed = False

        def execute(self, statement, *values):
            if self.armed and statement == "COMMIT":
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                raise error
            return super().execute(statement, *values)

    def opening(path, schemas):
        opened = open_database(path, schemas)
        opened.connection.close()
        return Opened(sqlite3.connect(path, isolation_level=None, factory=Failing), opened.incarnation, opened.boot)

    monkeypatch.setattr("bzzzd.storage.journal.journal.open_database", opening)
    journal = await open_journal()
    await journal.write(put(1))
    await journal.read(lambda connection: setattr(connection, "armed", True))
    results = await asyncio.gather(journal.write(put(2)), journal.write(put(3)), return_exceptions=True)
    assert [type(result) for result in results] == [StorageFailed, StorageFailed]
    await asyncio.wait_for(asyncio.wait([journal.ended]), 10)
    assert isinstance(journal.failure, StorageFailed)
    await journal.close()
    monkeypatch.undo()
    assert await (await open_journal()).read(ids) == [1]


CHILD = """
import asyncio, sys
from pathlib import Path
from bzzzd.storage.journal.database import Opened, open_database
from bzzzd.storage.journal.journal import Journal, Schema
NOTES = Schema("notes", 1, ("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT",))

async def writer(journal, start, step):
    number = start
    while True:
        await journal.write(lambda c, n=number: c.execute("INSERT INTO notes VALUES (?, ?)", (n, bytes(700))).rowcount)
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
        number += step

async def main():
    journal = await Journal.open(Path(sys.argv[1]), [NOTES])
    top = await journal.read(lambda c: c.execute("SELECT coalesce(max(id), 0) FROM notes").fetchone()[0])
    await asyncio.gather(*[writer(journal, top + 1 + k, 16) for k in range(16)])

asyncio.run(main())
"""


@pytest.mark.integration
async def test_after_kill_9_at_any_moment_every_acknowledged_write_is_there(open_journal, tmp_path):
    path = tmp_path / "state" / "journal.sqlite"
    chance = random.Random(5)
    acknowledged: set[int] = set()
    for _ in range(6):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, str(path), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 2000)):
            acknowledged.add(int(await child.stdout.readline()))
        child.kill()
        rest = (await child.stdout.read()).split(b"\n")
        acknowledged.update(int(line) for line in rest[:-1])  # the last one may be cut
        await child.wait()
        journal = await open_journal(path)
        assert acknowledged <= set(await journal.read(ids))
        assert await journal.check() == []
        await journal.close()


AS_NOBODY = """
import asyncio, os, sys
from pathlib import Path
from bzzzd.errors import BzzzError
from bzzzd.storage.journal.database import Opened, open_database
from bzzzd.storage.journal.journal import Journal
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)

async def main():
    try:
        await Journal.open(Path(sys.argv[1]), [])
    except BzzzError as error:
        print(error.code, error.message)

asyncio.run(main())
"""


@pytest.mark.parametrize("existing", [False, True])
async def test_a_read_only_state_folder_is_refused_with_what_to_do(open_journal, tmp_path, existing):
    folder = tmp_path / "state"
    if existing:
        await (await open_journal()).close()
    else:
        folder.mkdir()
    for path in [*folder.iterdir(), folder]:
        if os.geteuid() == 0:
            os.chown(path, 65534, 65534)
        path.chmod(0o500 if path is folder else 0o400)
    parents = [parent for parent in folder.parents if parent.stat().st_uid == os.geteuid()]
    modes = {parent: parent.stat().st_mode for parent in parents if not parent.stat().st_mode & 0o001}
    for parent, mode in modes.items():
        parent.chmod(mode | 0o011)
    try:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", AS_NOBODY, str(folder / "journal.sqlite"), stdout=asyncio.subprocess.PIPE
        )
        output, _ = await asyncio.wait_for(child.communicate(), 60)
    finally:
        for parent, mode in modes.items():
            parent.chmod(mode)
        folder.chmod(0o700)
    assert output.startswith(b"STORAGE_FAILED the state folder")
    assert b"storage.state_dir" in output


async def test_a_backup_is_whole_private_and_a_journal_of_its_own(journal, open_journal, tmp_path):
    await asyncio.gather(*[journal.write(put(number)) for number in range(100)])
    target = tmp_path / "copy" / "journal.sqlite"
    target.parent.mkdir(mode=0o700)
    size = await journal.backup(target)
    assert size == target.stat().st_size
    assert target.stat().st_mode & 0o777 == 0o600
    await journal.write(put(100))
    copy = await open_journal(target)
    assert await copy.read(count) == 100
    assert copy.incarnation != journal.incarnation
    assert await copy.check() == []


async def test_a_backup_never_overwrites(journal, tmp_path):
    target = tmp_path / "there"
    target.write_bytes(b"precious")
    with pytest.raises(StorageFailed, match="backup"):
        await journal.backup(target)
    assert target.read_bytes() == b"precious"
    assert await journal.write(put(1)) == 1


async def test_a_backup_that_does_not_fit_leaves_nothing_behind(journal, small_disk, tmp_path):
    await asyncio.gather(*[journal.write(put(number, os.urandom(30_000))) for number in range(100)])
    target = small_disk.folder / "copy"
    await small_disk.fill(journal, 500_000)
    if small_disk.mounted:
        with pytest.raises(DiskFull):
            await journal.backup(target)
        assert not target.exists()
    assert await journal.read(count) == 100


async def test_opening_that_is_cancelled_leaves_the_file_free(open_journal, tmp_path):
    path = tmp_path / "state" / "journal.sqlite"
    task = asyncio.ensure_future(Journal.open(path, []))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await open_journal(path)).failure is None


async def test_errors_of_a_lost_journal_are_separate_objects(journal):
    def die(connection: sqlite3.Connection) -> None:
        raise SystemExit(1)

    results = await asyncio.gather(*[journal.write(die) for _ in range(3)], return_exceptions=True)
    assert all(isinstance(result, BzzzError) for result in results)
    assert len({id(result) for result in results}) == 3


async def test_soft_writes_are_seen_at_once_and_durable_with_the_next_sync(journal, monkeypatch):
    synced: list[int] = []
    real = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda handle: (synced.append(handle), real(handle))[1])

    def insert(connection):
        return connection.execute("INSERT INTO notes (body) VALUES (x'00')").rowcount

    first = journal.write_soft(insert)
    done = journal.sync()
    assert await first == 1
    await done
    assert len(synced) == 1
    assert await journal.write_soft(insert) == 1
    assert await journal.read(lambda connection: connection.execute("SELECT count(*) FROM notes").fetchone()) == (2,)
    assert (await journal.read(lambda connection: connection.execute("PRAGMA synchronous").fetchone())) == (2,)


async def test_a_sync_that_fails_ends_the_journal(journal, monkeypatch):
    def broken(handle):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(StorageFailed):
        await journal.sync()
    await asyncio.wait([journal.ended])
    assert isinstance(journal.failure, StorageFailed)
