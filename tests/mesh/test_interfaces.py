"""Which addresses a node listens on."""

import asyncio
import subprocess
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.mesh.interfaces import (
    MOST_ADDRESSES,
    AddressWatch,
    Interface,
    beyond_this_machine,
    choose,
    read_interfaces,
    within,
)

MACHINE = (
    Interface("lo", ("127.0.0.1", "::1")),
    Interface("eth0", ("fe80::1%eth0", "2001:db8::7", "192.0.2.7")),
    Interface("wg0", ("10.9.0.3",)),
    Interface("docker0", ("172.17.0.1",)),
    Interface("br-0123456789ab", ("172.18.0.1",)),
    Interface("br-lan", ("198.51.100.1",)),
    Interface("usb0", ("169.254.3.4",)),
)


def test_a_peer_is_on_the_machines_network_by_its_address() -> None:
    networks = (ip_network("192.0.2.0/28"), ip_network("2001:db8::/64"))
    assert within("/ip4/192.0.2.7/tcp/8075", networks)
    assert within("/ip6/2001:db8::9/tcp/8075", networks)
    for elsewhere in ("/ip4/192.0.2.77/tcp/8075", "/ip4/127.0.0.1/tcp/1", "/dns4/n1.example/tcp/8075", "", "/ip4"):
        assert not within(elsewhere, networks)


def test_auto_takes_what_other_machines_can_reach() -> None:
    assert choose(["auto"], 8075, MACHINE) == (
        "/ip4/192.0.2.7/tcp/8075",
        "/ip4/10.9.0.3/tcp/8075",
        "/ip4/198.51.100.1/tcp/8075",
        "/ip6/2001:db8::7/tcp/8075",
    )


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["wg0"], ("/ip4/10.9.0.3/tcp/9",)),
        (["lo"], ("/ip4/127.0.0.1/tcp/9", "/ip6/::1/tcp/9")),
        (["docker0"], ("/ip4/172.17.0.1/tcp/9",)),
        (["usb0"], ()),
        (["nosuch0"], ()),
        (["/ip4/192.0.2.1/tcp/5", "wg0"], ("/ip4/192.0.2.1/tcp/5", "/ip4/10.9.0.3/tcp/9")),
    ],
)
def test_what_is_named_is_taken_and_nothing_else(wanted: list[str], chosen: tuple[str, ...]) -> None:
    assert choose(wanted, 9, MACHINE) == chosen


def test_a_machine_without_a_network_serves_itself_until_it_has_one() -> None:
    assert choose(["auto"], 8075, MACHINE[:1]) == ("/ip4/127.0.0.1/tcp/8075",)


ADDRESSES = st.one_of(st.ip_addresses().map(str), st.text(max_size=8))


@settings(deadline=None)
@given(st.lists(st.builds(Interface, st.text(max_size=15), st.lists(ADDRESSES, max_size=30).map(tuple))))
def test_whatever_the_machine_has_the_choice_is_concrete_and_bounded(machine: list[Interface]) -> None:
    chosen = choose(["auto"], 8075, machine)
    assert 1 <= len(chosen) <= MOST_ADDRESSES
    assert not {"/ip4/0.0.0.0/tcp/8075", "/ip6/::/tcp/8075"} & set(chosen)
    assert len(chosen) == 1 or all(beyond_this_machine(address) for address in chosen)


def test_this_machine_has_a_loopback_interface() -> None:
    assert any("127.0.0.1" in interface.addresses for interface in read_interfaces())


def address(word: str) -> bool:
    """Give loopback another address, or take it away; whether that could be done."""
    done = subprocess.run(["ip", "addr", word, "127.83.0.1/32", "dev", "lo"], capture_output=True, check=False)
    return done.returncode == 0


async def test_the_kernel_tells_of_a_new_address() -> None:
    told = asyncio.Event()
    try:
        watch = AddressWatch(told.set)
    except OSError as error:
        pytest.skip(f"netlink is not to be had here: {error}")
    try:
        if not await asyncio.to_thread(address, "add"):
            pytest.skip("giving the machine an address needs root and iproute2")
        await asyncio.wait_for(told.wait(), 10)
    finally:
        watch.close()
        await asyncio.to_thread(address, "del")
