"""The pauses between dials, the connection that stays, and the addresses that are tried."""

from hypothesis import given, settings
from hypothesis import strategies as st

from bzzzd.mesh.redial import BRISK_PAUSE_S, BRISK_S, LONGEST_ABSENT_S, Contact, Redial, stays


def test_a_peer_that_returns_within_a_minute_is_found_within_a_second() -> None:
    redial, now = Redial(), 0.0
    while now < BRISK_S:
        pause = redial.failed("absent", now)
        assert pause <= BRISK_PAUSE_S
        now += pause


def test_one_that_is_long_gone_costs_four_tries_a_minute() -> None:
    redial, now, tries = Redial(), 0.0, 0
    while now < 3600.0:
        now += redial.failed("absent", now)
        tries += now > 300.0
    assert tries <= 3300 / LONGEST_ABSENT_S + 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(["absent", "unclear", "refused", "news"]), max_size=60))
def test_pauses_are_bounded_and_news_starts_afresh(happened: list[str]) -> None:
    redial, now, longest = Redial(), 0.0, {"absent": LONGEST_ABSENT_S, "unclear": 10.0, "refused": 60.0}
    fresh = True
    for what in happened:
        if what == "news":
            redial.news()
            assert not redial.refused
            fresh = True
            continue
        pause = redial.failed(what, now)
        assert 0 < pause <= longest[what]
        assert redial.refused == (what == "refused")
        if fresh and what != "refused":
            assert pause <= 0.5
        fresh = False
        now += pause


@settings(deadline=None)
@given(st.binary(min_size=1), st.binary(min_size=1))
def test_both_sides_keep_the_same_of_two_connections(one: bytes, two: bytes) -> None:
    if one == two:
        return
    by_one = stays(one, two, True), stays(two, one, False)
    by_two = stays(one, two, False), stays(two, one, True)
    assert by_one[0] == by_one[1] != by_two[0] == by_two[1]


def test_an_address_that_led_to_the_peer_is_tried_first() -> None:
    contact = Contact()
    assert contact.learn("book", ("/b", "/both"))
    assert contact.learn("static", ("/s", "/both"))
    assert not contact.learn("exchange", ("/b",))
    assert (contact.how, contact.addresses) == ("static", ("/s", "/both", "/b"))
    contact.good = "/b"
    contact.forget("static")
    assert (contact.how, contact.addresses) == ("exchange", ("/b", "/both"))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["static", "mdns", "book"]), st.lists(st.text(max_size=3), max_size=40))))
def test_the_addresses_of_a_peer_are_few_and_each_once(said: list[tuple[str, list[str]]]) -> None:
    contact = Contact()
    for how, addresses in said:
        contact.learn(how, tuple(addresses))
        assert len(contact.addresses) <= Contact.MOST
        assert len(set(contact.addresses)) == len(contact.addresses)
