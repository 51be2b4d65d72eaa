import trio
from libp2p.pubsub.pb import rpc_pb2

from bzzzd.mesh.router import OutboundQueue


def message(size: int, number: int = 0) -> rpc_pb2.RPC:
    return rpc_pb2.RPC(publish=[rpc_pb2.Message(data=bytes([number]) * size)])


async def drained(queue: OutboundQueue) -> list[list[int]]:
    batches: list[list[int]] = []
    while len(queue):
        rpc = await queue.pop()
        assert rpc is not None
        batches.append([one.data[0] for one in rpc.publish])
    return batches


def test_small_messages_leave_together_in_order() -> None:
    async def run() -> None:
        queue = OutboundQueue()
        for number in range(50):
            assert queue.push(message(100, number))
        assert await drained(queue) == [list(range(50))]

    trio.run(run)


def test_merging_leaves_the_message_in_other_queues_as_it_was() -> None:
    async def run() -> None:
        shared = message(10, 1)
        queue = OutboundQueue()
        queue.push(shared)
        queue.push(message(10, 2))
        assert await drained(queue) == [[1, 2]]
        assert len(shared.publish) == 1

    trio.run(run)


def test_large_messages_leave_alone() -> None:
    async def run() -> None:
        queue = OutboundQueue()
        for number, size in enumerate([10, 1_000_000, 10, 10]):
            assert queue.push(message(size, number))
        assert await drained(queue) == [[0], [1], [2, 3]]

    trio.run(run)


def test_control_messages_go_first() -> None:
    async def run() -> None:
        queue = OutboundQueue()
        queue.push(message(200_000, 1))
        queue.push(message(200_000, 2), priority=True)
        assert await drained(queue) == [[2], [1]]

    trio.run(run)


def test_a_queue_is_bounded_in_bytes_and_says_when_it_is_crowded() -> None:
    async def run() -> None:
        queue = OutboundQueue()
        pushed = 0
        while queue.push(message(1_000_000)):
            pushed += 1
            assert queue.crowded == (pushed >= 5)
        assert pushed == 16
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.until_less)
            await trio.testing.wait_all_tasks_blocked()
            await queue.pop()
        assert queue.push(message(1_000_000))

    trio.run(run)


def test_a_closed_queue_is_not_crowded_and_keeps_nobody_waiting() -> None:
    async def run() -> None:
        queue = OutboundQueue()
        while queue.push(message(1_000_000)):
            pass
        async with trio.open_nursery() as nursery:
            nursery.start_soon(queue.until_less)
            await trio.testing.wait_all_tasks_blocked()
            queue.close()
        assert not queue.crowded
        await queue.until_less()

    trio.run(run)
