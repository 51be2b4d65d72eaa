from types import SimpleNamespace
from typing import Any

from libp2p.kad_dht.pb.kademlia_pb2 import Record
from libp2p.peer.id import ID

from bzzzd.mesh.dht import _BoundedStore


def store(limit: int) -> _BoundedStore:
    from libp2p.crypto.ed25519 import create_new_key_pair

    host: Any = SimpleNamespace(get_private_key=lambda: create_new_key_pair(b"s" * 32).private_key)
    return _BoundedStore(host, ID(b"me"), limit)


def test_foreign_records_make_room_for_new_ones_before_own_ones_do() -> None:
    kept = store(1000)
    kept.put(b"own", b"x" * 400)
    for number in range(10):
        kept.put_record(b"%d" % number, Record(key=b"k", value=b"y" * 200))
    assert set(kept.store) == {b"own", b"7", b"8", b"9"}
    kept.put(b"own too", b"x" * 600)
    assert set(kept.store) == {b"own", b"own too"}
    assert kept._held == 1000


def test_replacing_and_removing_keep_the_count() -> None:
    kept = store(1000)
    for size in (100, 300, 200):
        kept.put(b"a", b"x" * size)
    assert kept._held == 200
    assert kept.remove(b"a")
    assert not kept.remove(b"a")
    assert kept._held == 0


def test_expired_records_are_dropped_and_counted() -> None:
    kept = store(1000)
    kept.put(b"a", b"x" * 10, validity=1.0)
    kept.put(b"b", b"x" * 10)
    assert kept.cleanup_expired() == 1
    assert (set(kept.store), kept._held) == ({b"b"}, 10)
