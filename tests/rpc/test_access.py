"""Decisions are pure, and a refusal names the command that mends it."""

from __future__ import annotations

import pytest

from bzzzd.errors import NotAllowed, NotAttached
from bzzzd.identity.caller import Caller, CallerKind
from bzzzd.rpc.access import Access, allowed, attached, capability, greeting, guest, kinds, role


def caller(kind: CallerKind = "guest", who_role: str = "", *can: str) -> Caller:
    return Caller(1000, 1000, 7, kind, "" if kind == "guest" else "ada", who_role, frozenset(can))


GUEST = caller()
AGENT = caller("agent", "worker", "command")
PERSON = caller("person", "reviewer")
ADMIN = caller("admin", "lead")


@pytest.mark.parametrize(
    ("rule", "may"),
    [
        (greeting(), [GUEST, AGENT, PERSON, ADMIN]),
        (guest(), [GUEST, AGENT, PERSON, ADMIN]),
        (attached(), [AGENT, PERSON, ADMIN]),
        (kinds("person", "admin"), [PERSON, ADMIN]),
        (kinds("agent"), [AGENT]),
        (role("reviewer", "lead"), [PERSON, ADMIN]),
        (role("lead", kinds=["person"]), []),
        (capability("command"), [AGENT]),
        (capability("command", "model", kinds=["agent"]), [AGENT]),
    ],
)
def test_a_rule_lets_in_exactly_those_it_names(rule: Access, may: list[Caller]) -> None:
    assert [who for who in (GUEST, AGENT, PERSON, ADMIN) if allowed(rule, who) is None] == may


@pytest.mark.parametrize(
    ("rule", "who", "error", "words"),
    [
        (attached(), GUEST, NotAttached, "uid 1000 has shown none; an administrator gives a person one with: sudo"),
        (kinds("agent"), GUEST, NotAttached, "sudo systemctl start bzzz-agent"),
        (kinds("admin"), PERSON, NotAllowed, "sudo bzzz mesh admin add ada"),
        (kinds("person", "admin"), AGENT, NotAllowed, "ada is an agent with role worker; have a person do it"),
        (kinds("agent"), PERSON, NotAllowed, "bzzz agent list"),
        (role("lead"), PERSON, NotAllowed, "bzzz mesh invite"),
        (capability("command"), PERSON, NotAllowed, "sudo bzzz mesh policy apply"),
    ],
)
def test_a_refusal_says_what_to_do(rule: Access, who: Caller, error: type[NotAllowed], words: str) -> None:
    refusal = allowed(rule, who, "task.submit")
    assert type(refusal) is error
    assert refusal.message.startswith("task.submit")
    assert words in refusal.message
    assert refusal.data == {"method": "task.submit", "needs": rule.words}


def test_rules_in_words() -> None:
    assert guest().words == "guest"
    assert attached().words == "attached"
    assert kinds("person", "admin").words == "admin or person"
    assert capability("b", "a", kinds=["agent"]).words == "agent, capability a or b"


def test_a_rule_of_nobody_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="at least one"):
        kinds()
