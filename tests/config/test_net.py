"""Addresses of configuration: what is concrete, what overlaps, what is no address."""

import pytest

from bzzzd.config.net import Binding, listen_binding, packed, peer_fault

PEER = "12D3KooWK99VoVxNE7XzyBwXEzW7xhK7Gpv85r9F3V3fyKSUKPH5"


@pytest.mark.parametrize("text", ["/ip4/127.0.0.1/tcp/0", "/ip4/192.0.2.7/tcp/8075", "/ip6/::1/tcp/65535"])
def test_concrete_addresses_can_be_listened_on(text):
    assert isinstance(listen_binding(text), Binding)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("/ip4/0.0.0.0/tcp/8075", "not a concrete address"),
        ("/ip6/::/tcp/8075", "not a concrete address"),
        ("/ip6/::ffff:0.0.0.0/tcp/8075", "not a concrete address"),
        ("/ip4/256.0.0.1/tcp/8075", "no IPv4 address"),
        ("/ip6/1.2.3.4/tcp/8075", "no IPv6 address"),
        ("/dns4/host/tcp/8075", "expected ip4 or ip6"),
        ("/ip4/127.0.0.1/udp/8075", "expected /ip4/"),
        ("/ip4/127.0.0.1/tcp/65536", "no port"),
        ("/ip4/127.0.0.1/tcp/", "no port"),
        ("127.0.0.1:8075", "expected /ip4/"),
        ("", "expected /ip4/"),
        ("/ip4/1.2.3.4\x00/tcp/1", "no IPv4 address"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text, part):
    found = listen_binding(text)
    assert isinstance(found, str)
    assert part in found


@pytest.mark.parametrize("host", ["ip4/192.0.2.7", "ip6/2001:db8::1", "dns4/atlas.example", "dns/atlas"])
def test_a_peer_is_an_address_with_an_id(host):
    assert peer_fault(f"/{host}/tcp/8075/p2p/{PEER}") is None


@pytest.mark.parametrize(
    "text",
    ["/ip4/192.0.2.7/tcp/8075", f"/ip4/192.0.2.7/tcp/0/p2p/{PEER}", "/ip4/192.0.2.7/tcp/1/p2p/short",
     f"/dns4//tcp/1/p2p/{PEER}", f"/ip4/x/tcp/1/p2p/{PEER}", ""],
)  # fmt: skip
def test_a_peer_without_id_host_or_port_is_refused(text):
    assert peer_fault(text)


def bound(address: str, port: int) -> Binding:
    return Binding(address, packed(address) or b"", port)


def test_an_unspecified_address_takes_the_port_everywhere():
    assert bound("127.0.0.1", 80).overlaps(bound("127.0.0.1", 80))
    assert bound("0.0.0.0", 80).overlaps(bound("127.0.0.1", 80))
    assert bound("127.0.0.1", 80).overlaps(bound("::", 80))
    assert not bound("127.0.0.1", 80).overlaps(bound("127.0.0.2", 80))
    assert not bound("127.0.0.1", 80).overlaps(bound("127.0.0.1", 81))
    assert not bound("127.0.0.1", 0).overlaps(bound("127.0.0.1", 0))
