from __future__ import annotations

import pytest

from bzzzd.crypto import age
from bzzzd.crypto.audience import Audiences, has_audience
from bzzzd.errors import BadInput, NotAllowed

READERS = [age.new_identity() for _ in range(3)]
RECIPIENTS = [age.recipient_of(identity) for identity in READERS]
STRANGER = age.new_identity()


def read(data: bytes, *identities: str, audiences: Audiences | None = None) -> bytes:
    return (audiences or Audiences()).decrypt(data, identities)


@pytest.fixture
def audiences() -> Audiences:
    return Audiences()


@pytest.mark.parametrize("reader", READERS)
def test_each_reader_alone_reads_with_nothing_but_its_identity(audiences: Audiences, reader: str) -> None:
    assert read(audiences.encrypt(b"content", RECIPIENTS), reader) == b"content"


def test_nobody_else_reads_even_where_a_reader_has_just_read(audiences: Audiences) -> None:
    data = audiences.encrypt(b"content", RECIPIENTS)
    assert read(data, READERS[0], audiences=audiences) == b"content"
    for identities in ((STRANGER,), ()):
        with pytest.raises(NotAllowed):
            read(data, *identities, audiences=audiences)


def test_several_contents_for_the_same_readers_share_one_audience(
    audiences: Audiences, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    encrypt = age.encrypt
    monkeypatch.setattr(age, "encrypt", lambda data, to: counts.append(len(to)) or encrypt(data, to))  # type: ignore[func-returns-value]
    first, second = (audiences.encrypt(b"content", RECIPIENTS) for _ in range(2))
    assert counts == [3]
    assert first != second
    audiences.encrypt(b"content", RECIPIENTS[:2])
    assert counts == [3, 2]


def test_its_content_is_told_from_a_plain_age_file(audiences: Audiences) -> None:
    assert has_audience(audiences.encrypt(b"content", RECIPIENTS[:1]))
    assert not has_audience(age.encrypt(b"content", RECIPIENTS))


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_content_of_any_size_comes_back(audiences: Audiences, size: int) -> None:
    data = audiences.encrypt(bytes(size), RECIPIENTS)
    assert read(data, READERS[2], STRANGER) == bytes(size)


def test_a_changed_byte_anywhere_is_noticed(audiences: Audiences) -> None:
    data = audiences.encrypt(b"content", RECIPIENTS[:2])
    assert read(data, READERS[1], audiences=audiences) == b"content"
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(NotAllowed):
            read(bytes(changed), READERS[1], audiences=audiences)


@pytest.mark.parametrize("size", [16, 18, 20, 100, 500])
def test_content_that_was_cut_short_is_refused(audiences: Audiences, size: int) -> None:
    with pytest.raises(NotAllowed):
        read(audiences.encrypt(b"content", RECIPIENTS)[:size], READERS[0])


def test_a_front_part_that_holds_no_key_is_refused_without_showing_what_it_holds() -> None:
    wrapped = age.encrypt(b"something private", RECIPIENTS)
    data = b"bzzz-audience-1\n" + len(wrapped).to_bytes(4, "big") + wrapped + bytes(100)
    with pytest.raises(NotAllowed, match="damaged") as caught:
        read(data, READERS[0])
    assert "private" not in str(caught.value)


def test_content_is_bound_to_the_readers_that_it_was_written_for(audiences: Audiences) -> None:
    data = audiences.encrypt(b"content", RECIPIENTS)
    front = 20 + int.from_bytes(data[16:20], "big")
    key = age.decrypt(data[20:front], READERS[:1])
    again = age.encrypt(key, [age.recipient_of(STRANGER)])
    with pytest.raises(NotAllowed):
        read(data[:16] + len(again).to_bytes(4, "big") + again + data[front:], STRANGER)


def test_a_bounded_number_of_audiences_is_held_and_all_stay_readable() -> None:
    audiences = Audiences(keep=2)
    sets = [RECIPIENTS[:2], RECIPIENTS[1:], RECIPIENTS, RECIPIENTS[:2]]
    written = [audiences.encrypt(b"content", recipients) for recipients in sets]
    assert [read(data, READERS[1], audiences=audiences) for data in written] == [b"content"] * 4
    assert audiences._made.cache_info().currsize == audiences._opened.cache_info().currsize == 2


def test_nothing_is_encrypted_for_nobody(audiences: Audiences) -> None:
    with pytest.raises(BadInput):
        audiences.encrypt(b"content", [])


def test_no_secret_is_shown(audiences: Audiences) -> None:
    data = audiences.encrypt(b"content", RECIPIENTS)
    key = age.decrypt(data[20 : 20 + int.from_bytes(data[16:20], "big")], READERS[:1])
    assert read(data, READERS[0], audiences=audiences) == b"content"
    shown = repr(audiences) + repr(vars(audiences))
    assert repr(key) not in shown
    assert key.hex() not in shown
