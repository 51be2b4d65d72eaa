"""The peer book: what it keeps, what it drops, and what it survives."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.daemon.peers.peerbook import MOST_PEERS, PeerBook
from bzzzd.daemon.peers.skew import Clocks, Skew

KEY, OTHER = b"k" * 32, b"o" * 32


def test_what_was_told_is_there_after_a_restart(tmp_path: Path) -> None:
    book = PeerBook(tmp_path / "peers.json", "m")
    assert book.told(KEY, "n1", ["/ip4/192.0.2.1/tcp/1"], 5, 100.0)
    book.seen(OTHER, "n2", 200.0)
    book.save()
    again = PeerBook(tmp_path / "peers.json", "m")
    again.load()
    assert [(entry.id, entry.last_seen) for entry in again.all()] == [("n2", 200.0), ("n1", 100.0)]
    assert not again.told(KEY, "n1", ["/ip4/192.0.2.9/tcp/1"], 4, 300.0)
    elsewhere = PeerBook(tmp_path / "peers.json", "another mesh")
    elsewhere.load()
    assert elsewhere.all() == []


def test_nothing_is_written_while_nothing_changes(tmp_path: Path) -> None:
    book = PeerBook(tmp_path / "peers.json", "m")
    book.save()
    assert not list(tmp_path.iterdir())


def test_a_damaged_file_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "peers.json"
    for text in ("", "{}", '{"mesh_id": "m", "peers": [{"key": "short"}]}', "\0"):
        path.write_text(text)
        book = PeerBook(path, "m")
        book.load()
        assert book.all() == []


def test_the_book_is_bounded_and_who_was_seen_last_stays(tmp_path: Path) -> None:
    book = PeerBook(tmp_path / "peers.json", "m")
    for number in range(MOST_PEERS + 10):
        book.seen(number.to_bytes(32, "big"), f"n{number}", float(number))
    assert len(book.all()) == MOST_PEERS
    assert book.get((9).to_bytes(32, "big")) is None


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(0, 30), st.floats(0, 1), st.floats(0, 2e9))
def test_a_skew_is_known_to_half_the_round_trip(ahead: float, took: float, share: float, sent: float) -> None:
    there = sent + took * share + ahead
    skew = Clocks().measured("p", sent, there, took)
    assert abs(skew.seconds - ahead) <= took / 2 + 1e-3
    assert abs(skew.certain) <= abs(ahead) + 1e-3


def test_what_the_round_trip_explains_is_no_skew() -> None:
    assert Skew(0.4, 0.5).certain == 0.0
    assert Skew(-3.0, 0.5).certain == -2.5
