"""Requests to join: few, bound to what was asked, and gone when nobody asks any more."""

from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.membership.requests import MAX_PER_INVITATION, MAX_WAITING, Requests
from bzzzd.errors import InvitationRefused, NotFound, Overloaded
from bzzzd.identity.invitation import Ask, Invitation


class Desk:
    def __init__(self) -> None:
        self.now = 0.0
        self.requests = Requests(b"a" * 32, b"i" * 32, lambda: self.now, lambda: 1e9 + self.now)

    def ask(self, number: int = 1, *, of: int = 1, raw: bytes = b"raw") -> Any:
        id = of.to_bytes(8, "big")
        key = SigningKey.from_seed(number.to_bytes(32, "big")).public
        invitation = Invitation(
            id=id, proof_key=b"k", kind="node", role="node", valid_s=1.0, by=b"b" * 32, created=0.0, expires=1e9
        )
        ask = Ask(invitation=id, kind="node", id=f"n{number}", key=key, nonce=b"n" * 16)
        return self.requests.ask(invitation, ask, raw, address="192.0.2.9", carrier="12D3")


def test_the_same_ask_is_the_same_request_and_another_one_replaces_it() -> None:
    desk = Desk()
    first, new = desk.ask()
    assert new
    again, new = desk.ask()
    assert (again is first, new) == (True, False)
    other, new = desk.ask(raw=b"after a restart")
    assert new
    assert other.code != first.code
    assert desk.requests.all() == [other]


def test_a_code_is_found_however_it_was_typed() -> None:
    desk = Desk()
    request, _ = desk.ask()
    for text in (request.code, request.code.replace(" ", ""), f" {request.code[:4]}-{request.code[5:]} "):
        assert desk.requests.find(text) is request
    with pytest.raises(NotFound):
        desk.requests.find("0000")


def test_who_asks_no_more_is_forgotten() -> None:
    desk = Desk()
    request, _ = desk.ask()
    desk.now = 59.0
    desk.ask()
    desk.now = 118.0
    assert desk.requests.all() == [request]
    desk.now = 120.0
    assert desk.requests.all() == []


def test_a_no_stands_while_the_joiner_goes_on_asking_and_is_forgotten_after() -> None:
    desk = Desk()
    request, _ = desk.ask()
    desk.requests.refuse(request)
    assert desk.requests.all() == []
    for moment in (1.0, 50.0, 100.0):
        desk.now = moment
        with pytest.raises(InvitationRefused):
            desk.ask(raw=b"another")
    desk.now = 200.0
    assert desk.ask()[1]


def test_they_are_few_for_one_invitation_and_in_all() -> None:
    desk = Desk()
    for number in range(MAX_PER_INVITATION):
        desk.ask(number)
    with pytest.raises(Overloaded):
        desk.ask(100)
    desk.ask(0)
    for number in range(MAX_PER_INVITATION, MAX_WAITING):
        desk.ask(number, of=number)
    with pytest.raises(Overloaded):
        desk.ask(101, of=2000)
    assert len({request.code for request in desk.requests.all()}) == MAX_WAITING
    desk.requests.done(desk.requests.all()[0])
    desk.ask(101, of=2000)
