import trio
from libp2p.io.trio import TrioTCPStream
from trio.testing import open_stream_to_socket_listener

from bzzzd.mesh.meter import MeteredConnection, metered


async def _pair() -> tuple[trio.SocketStream, MeteredConnection]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    sender = await open_stream_to_socket_listener(listener)
    receiver = await listener.accept()
    await listener.aclose()
    return sender, metered(TrioTCPStream(receiver), initiator=False)


def test_bytes_come_whole_and_in_order_however_they_are_asked_for() -> None:
    sent = bytes(range(256)) * 1000

    async def main() -> bytes:
        sender, connection = await _pair()
        got = bytearray()

        async def send() -> None:
            await sender.send_all(sent)
            await sender.aclose()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            for size in (0, 2, 12, 1, 0, 300, 70_000, None, 5):
                part = await connection.read(size)
                assert size is None or len(part) <= size
                assert size == 0 or part
                got += part
            while part := await connection.read(1000):
                got += part
        assert await connection.read(2) == b""
        assert connection.meter.received == len(sent)
        await connection.close()
        return bytes(got)

    assert trio.run(main) == sent


def test_a_frame_that_has_come_takes_no_second_trip_to_the_socket() -> None:
    async def main() -> None:
        sender, connection = await _pair()
        await sender.send_all(b"\x00\x05hello")
        with trio.fail_after(5):
            assert await connection.read(2) == b"\x00\x05"
        await connection.stream.close()  # what follows is not read from it
        assert await connection.read(5) == b"hello"
        await sender.aclose()

    trio.run(main)
