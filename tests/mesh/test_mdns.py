"""What is announced by multicast, and what is made of what others announce."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.mesh.mdns import mesh_mark, places, read_properties
from bzzzd.mesh.peer_id import peer_id_of

PEER = peer_id_of(b"k" * 32)


def test_a_mark_tells_meshes_apart_and_hides_their_ids() -> None:
    assert mesh_mark("one") == mesh_mark("one") != mesh_mark("two")
    assert "one" not in mesh_mark("one")


def test_only_what_other_machines_can_reach_is_announced() -> None:
    addresses = ("/ip4/127.0.0.1/tcp/1", "/ip4/192.0.2.1/tcp/5/p2p/x", "/ip6/fd00::1/tcp/5", "/ip4/192.0.2.2/tcp/6")
    assert places(addresses) == (["192.0.2.1", "fd00::1"], 5)
    assert places(addresses[:1]) == ([], 0)


def test_an_announcement_of_ours_is_read() -> None:
    told = {b"mesh": mesh_mark("one").encode(), b"peer": PEER.encode()}
    assert read_properties(dict(told)) == (mesh_mark("one"), PEER)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([b"mesh", b"peer", b"other"]), st.none() | st.binary(max_size=80)))
def test_whatever_else_is_announced_is_nothing(properties: dict[bytes, bytes | None]) -> None:
    found = read_properties(properties)
    assert found is None or found[1] == PEER
