"""The network of namespaces does what the tests that stand on it expect of a real one."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.netns.kit import Host, Network

GROUP = "239.83.83.83"


def listen(host: Host, port: int = 4000) -> socket.socket:
    with host.entered():
        server = socket.create_server((host.ip, port))
    server.settimeout(10)
    return server


def udp(host: Host) -> socket.socket:
    with host.entered():
        plug = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    plug.settimeout(0.5)
    return plug


def member(host: Host) -> socket.socket:
    """A socket that has joined the multicast group."""
    plug = udp(host)
    plug.bind(("", 5000))
    plug.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + socket.inet_aton(host.ip))
    return plug


def reaches(sender: socket.socket, receiver: socket.socket, target: tuple[str, int]) -> bool:
    """Whether one of three datagrams arrives."""
    for _ in range(3):
        sender.sendto(b"hello", target)
        try:
            receiver.recv(100)
        except TimeoutError:
            continue
        return True
    return False


def carrier(host: Host) -> bool:
    return "LOWER_UP" in host.run("ip", "link", "show", "eth0")


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("slow", [False, True])
def test_hosts_of_one_lan_reach_each_other_until_they_are_unplugged(network: Network, slow: bool) -> None:
    one, two = network.host("one", slow=slow), network.host("two")
    with udp(one) as sender, udp(two) as receiver:
        receiver.bind(("", 5001))
        target = (two.ip, 5001)
        assert reaches(sender, receiver, target)
        network.unplug(one)
        assert carrier(one)
        assert not reaches(sender, receiver, target)
        network.plug(one)
        assert reaches(sender, receiver, target)
        network.pull(one)
        until(lambda: not carrier(one))
        network.plug(one)
        until(lambda: carrier(one))
        assert reaches(sender, receiver, target)


def test_multicast_stays_on_its_lan_and_the_router_joins_lans(network: Network) -> None:
    one, two, far = network.host("one"), network.host("two"), network.host("far", lan=1)
    with udp(one) as sender, member(two) as near, member(far) as away:
        assert reaches(sender, near, (GROUP, 5000))
        assert not reaches(sender, away, (GROUP, 5000))
        assert reaches(sender, away, (far.ip, 5000))


def test_a_split_lan_has_two_halves_until_it_is_merged(network: Network) -> None:
    hosts = [network.host(name) for name in ("a", "b", "c", "d")]
    a, b, c, d = hosts
    network.split([a, b], [c, d])
    with udp(a) as left, udp(c) as right, member(b) as beside_left, member(d) as beside_right:
        assert reaches(left, beside_left, (b.ip, 5000))
        assert reaches(right, beside_right, (GROUP, 5000))
        assert not reaches(left, beside_right, (d.ip, 5000))
        assert not reaches(right, beside_left, (GROUP, 5000))
        network.merge()
        assert reaches(left, beside_right, (d.ip, 5000))


def echo(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(65_536):
            connection.sendall(data)


def test_a_slow_cable_is_as_late_as_asked_and_loses_what_is_asked(network: Network) -> None:
    one, two = network.host("one", slow=True), network.host("two")
    with listen(two) as server, one.connect(two.ip, 4000) as client:
        thread = threading.Thread(target=echo, args=(server,))
        thread.start()
        trips: list[float] = []
        network.shape(one, delay_ms=40)
        for _ in range(5):
            began = time.monotonic()
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            trips.append(time.monotonic() - began)
        assert 0.08 <= min(trips) < 0.2
        network.shape(one, loss=0.2)
        data = os.urandom(200_000)
        client.sendall(data)
        got = b""
        client.settimeout(30)
        while len(got) < len(data):
            got += client.recv(65_536)
        assert got == data  # TCP has mended it
        client.shutdown(socket.SHUT_WR)
        thread.join(30)
    with udp(one) as sender, udp(two) as receiver:
        receiver.bind(("", 5001))
        receiver.settimeout(5)  # the relay may have to wait for its turn
        for _ in range(500):
            sender.sendto(b"hello", (two.ip, 5001))
        arrived = 0
        try:
            while receiver.recv(100):
                arrived += 1
        except TimeoutError:
            pass
        assert 300 <= arrived < 480


def test_programs_run_in_a_host_under_their_own_pid(network: Network) -> None:
    one = network.host("one")
    process = subprocess.Popen(one.argv(["sleep", "60"]))
    try:
        there = Path(f"/proc/{process.pid}")
        until(lambda: (there / "comm").read_text() == "sleep\n")
        assert (there / "ns/net").samefile(one.path)
    finally:
        process.kill()
        process.wait()


def test_nothing_is_left_when_the_network_is_closed(network: Network) -> None:
    links = subprocess.run(["ip", "link"], capture_output=True, check=True).stdout
    with Network() as other:
        host = other.host("one", slow=True)
        path, relay = Path(host.path), host.relay
        assert path.exists()
        assert subprocess.run(["ip", "link"], capture_output=True, check=True).stdout == links
    assert not path.exists()
    assert relay is None or relay.poll() is not None
