import trio
import trio.testing

from bzzzd.mesh.muxing import MemberYamux, QuickLock


async def _take(lock: QuickLock, name: str, order: list[str]) -> None:
    async with lock:
        order.append(name)
        await trio.lowlevel.checkpoint()
        order.append(name)


def test_a_lock_is_held_by_one_at_a_time_and_handed_on_in_order() -> None:
    order: list[str] = []

    async def main() -> None:
        lock = QuickLock()
        async with trio.open_nursery() as nursery:
            await lock.acquire()
            for name in "abc":
                nursery.start_soon(_take, lock, name, order)
                await trio.testing.wait_all_tasks_blocked()
            lock.release()

    trio.run(main)
    assert order == list("aabbcc")


def test_who_is_cancelled_while_it_waits_does_not_get_the_lock() -> None:
    order: list[str] = []

    async def main() -> None:
        lock = QuickLock()
        await lock.acquire()
        with trio.move_on_after(0):
            await lock.acquire()
            order.append("cancelled")
        lock.release()
        await _take(lock, "a", order)

    trio.run(main)
    assert order == ["a", "a"]


def test_a_free_lock_costs_no_turn() -> None:
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    async def main() -> None:
        lock = QuickLock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            async with lock:
                turns.append("locked")
            turns.append("released")

    trio.run(main)
    assert turns == ["locked", "released", "other"]


class _Secured:
    """An encrypted connection, whose cipher has moved on as soon as it was given something to write."""

    def __init__(self) -> None:
        self.encrypted: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self.encrypted.append(data)
        await trio.lowlevel.checkpoint()


def test_what_a_cancelled_writer_has_not_begun_is_not_encrypted() -> None:
    """The peer could read nothing that comes after a frame that was encrypted and not sent."""
    muxed, secured = MemberYamux.__new__(MemberYamux), _Secured()
    muxed._write_lock = QuickLock()  # type: ignore[assignment]
    muxed.secured_conn = secured  # type: ignore[assignment]

    async def main() -> None:
        await muxed._write_frame(b"one")
        with trio.CancelScope() as scope:
            scope.cancel()
            await muxed._write_frame(b"two")

    trio.run(main)
    assert secured.encrypted == [b"one"]
