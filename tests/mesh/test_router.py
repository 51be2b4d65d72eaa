import trio
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2

from bzzzd.mesh.router import MemberRouter, OutboundQueue
from bzzzd.mesh.values import Counters


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


class _Gossip:
    """What the router needs of its pubsub."""

    def __init__(self, peer: ID) -> None:
        self.queue = OutboundQueue()
        self.peer_queues = {peer: self.queue}
        self.topic_ids = {"news"}


PEER = ID(b"peer")


def routed() -> tuple[MemberRouter, _Gossip]:
    router, gossip = MemberRouter(Counters()), _Gossip(PEER)
    router.pubsub = gossip  # type: ignore[assignment]
    return router, gossip


def test_a_message_that_is_wanted_a_thousand_times_is_given_once() -> None:
    async def run() -> None:
        router, gossip = routed()
        kept = rpc_pb2.Message(data=bytes(100_000), from_id=b"\xfe", seqno=b"\xff\x01", topicIDs=["news"])
        router.mcache.put(kept)
        (name,) = router.mcache.msgs
        await router.handle_iwant(rpc_pb2.ControlIWant(messageIDs=[name] * 1000), PEER)
        assert len(gossip.queue) == 1

    trio.run(run)


def test_topics_that_a_peer_invents_are_not_remembered_and_peers_that_it_names_not_dialled() -> None:
    async def run() -> None:
        router, _ = routed()
        named = [rpc_pb2.PeerInfo(peerID=b"other")]
        for number in range(100):
            await router.handle_prune(rpc_pb2.ControlPrune(topicID=f"made up {number}", peers=named), PEER)
            await router.handle_ihave(rpc_pb2.ControlIHave(topicID=f"made up {number}"), PEER)
        await router.handle_prune(rpc_pb2.ControlPrune(topicID="news", peers=named), PEER)  # would look for a host
        assert set(router.back_off) == {"news"}
        assert not router.ihave_message_limits

    trio.run(run)
