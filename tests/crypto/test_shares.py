"""A key among holders: enough shares give it back; too few and wrong ones are told apart, by name."""

from contextlib import suppress
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bzzzd.crypto.shares import Share, read_share, recover, share_text, split
from bzzzd.errors import BadInput

NAMES = ("ann", "ben", "cem", "dot", "eva")
SECRET = bytes(range(32))
SHARES = split(SECRET, "the authority of m1", NAMES, 3)
OTHERS = split(SECRET, "the authority of m1", NAMES, 3)


def why(shares: list[Share]) -> dict[str, Any]:
    with pytest.raises(BadInput) as error:
        recover(shares)
    return error.value.data


def damaged(share: Share) -> Share:
    return replace(share, part=bytes([share.part[0] ^ 1]) + share.part[1:])


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.integers(2, 8), st.data())
def test_any_enough_shares_give_the_secret_back_and_fewer_none(secret: bytes, count: int, data: st.DataObject) -> None:
    threshold = data.draw(st.integers(2, count))
    shares = split(secret, "x", [f"h{number}" for number in range(count)], threshold)
    some = data.draw(st.lists(st.sampled_from(shares), min_size=1, max_size=count, unique_by=lambda one: one.index))
    if len(some) >= threshold:
        assert recover(some) == (secret, ())
    else:
        assert why(some)["reason"] == "too_few"


def test_every_three_of_five() -> None:
    assert {recover(list(some)).secret for some in combinations(SHARES, 3)} == {SECRET}


def test_too_few_are_told_with_who_is_missing() -> None:
    found = why([SHARES[0], SHARES[3], SHARES[0]])
    assert (found["reason"], found["have"], found["lack"]) == ("too_few", ["ann", "dot"], ["ben", "cem", "eva"])


def test_a_damaged_share_is_told_by_its_holders_name() -> None:
    found = why([SHARES[0], damaged(SHARES[1]), SHARES[2]])
    assert (found["reason"], found["wrong"], found["have"]) == ("wrong", ["ben"], ["ann", "cem"])


def test_a_share_of_another_split_is_told_by_its_holders_name() -> None:
    assert why([SHARES[0], SHARES[1], OTHERS[4]])["wrong"] == ["eva"]


def test_wrong_shares_do_no_harm_while_there_are_enough_good_ones() -> None:
    assert recover([damaged(SHARES[0]), *SHARES[1:4]]) == (SECRET, ("ann",))


def test_shares_that_somebody_made_up_together_open_nothing() -> None:
    deal = replace(SHARES[0].deal, sealed=SHARES[0].deal.sealed[:-1] + b"x")
    assert why([replace(share, deal=deal) for share in SHARES])["reason"] == "forged"


@given(st.integers(0, 400), st.characters(codec="ascii"))
def test_a_share_survives_its_text_and_damage_is_noticed(at: int, char: str) -> None:
    text = share_text(SHARES[2])
    assert read_share(text) == SHARES[2]
    changed = text[: at % len(text)] + char + text[at % len(text) + 1 :]
    with suppress(BadInput):
        assert read_share(changed) == SHARES[2]


def test_the_part_does_not_show() -> None:
    assert SHARES[0].part.hex() not in repr(SHARES[0])


@pytest.mark.parametrize(("names", "threshold"), [(("a",), 2), (("a", "a"), 2), (("a", "b"), 1), (("a", "b"), 3)])
def test_a_split_that_makes_no_sense_is_refused(names: tuple[str, ...], threshold: int) -> None:
    with pytest.raises(BadInput):
        split(SECRET, "x", names, threshold)
