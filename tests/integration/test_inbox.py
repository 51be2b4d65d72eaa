"""A person's portal in a terminal of its own, a real node, and an agent that asks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bzzzd.slurp.question import Action, Field
from tests.hap.desk import until
from tests.hap.portals import Home, Terminal
from tests.integration.conftest import Node, nodes_in, wait_for
from tests.integration.prompting import Asking, state_of
from tests.integration.sessions import Session


class PersonsHome(Home):
    """The home of the person whose portal runs against ``node``."""

    def __init__(self, node: Node) -> None:
        self.folder = node.folder / "home"
        self.folder.mkdir(exist_ok=True)
        self.socket = node.socket
        self.state = node.person_state
        self.config = node.folder / "hap.yaml"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Node]:
    with nodes_in(tmp_path) as make:
        node = make(slurp={"lease_s": 60.0})
        node.start()
        yield node


@pytest.fixture
def bob(office: Node) -> Iterator[Session]:
    with office.agent("bob", capabilities=("ask",), slots=50) as session:
        yield session


def _asked(office: Node, bob: Session, **question: object) -> tuple[Asking, str]:
    with office.person() as alice:
        asking = Asking(bob, alice.submit("tidy up", capability="ask"), **question)
    return asking, asking.ask()


def _state(office: Node, prompt: str) -> str:
    with office.person() as alice:
        return state_of(alice, prompt)


async def _press(portal: Terminal, key: str, words: str) -> None:
    """Press a key until the window shows these words: a prompt takes none before it has been in view for a moment."""

    def pressed() -> bool:
        if words in portal.text:
            return True
        portal.type(key)
        return False

    await until(pressed)


async def test_a_question_is_seen_opened_approved_and_its_end_is_told(office: Node, bob: Session) -> None:
    portal = Terminal(PersonsHome(office), 100, 30)
    try:
        await portal.shows("● alice")
        asking, prompt = await asyncio.to_thread(_asked, office, bob)
        await portal.shows("1 needs you")
        portal.type("1")
        await portal.shows("May I remove the build folder")
        portal.type("\r")
        await portal.shows("✓ text, signature and grant of bob")
        await portal.shows('"rm"')
        await asyncio.to_thread(wait_for, "seen", lambda: _state(office, prompt) == "seen")
        portal.type("\r\r")  # the key that opened it answers nothing
        await _press(portal, "a", "sends it at once")
        await portal.shows("Approve: bob may do command")
        portal.type("Y")
        await portal.shows("you answered approve at .* entry [0-9]+")
        begun = await asyncio.to_thread(asking.begin)
        assert begun["prompt"]["state"] == "claimed"
        await asyncio.to_thread(asking.finish)
        await portal.shows("it was done")
        portal.type("q")
        assert await portal.ends() == 0
        await portal.is_restored()
    finally:
        portal.close()


async def test_a_form_reaches_the_agent_as_it_was_filled_in(office: Node, bob: Session) -> None:
    fields = (Field("days", "Days to keep", "number"), Field("why", "Why", "lines", required=False))
    asking, _ = await asyncio.to_thread(_asked, office, bob, kind="form", form=fields)
    portal = Terminal(PersonsHome(office), 100, 30)
    try:
        await portal.shows("1 needs you")
        portal.type("1")
        await portal.shows("asks you")
        portal.type("\r")
        await portal.shows("Days to keep, number")
        await _press(portal, "a", "Your answer")
        portal.type("\x7f" * 2000 + "30\x13")
        await portal.shows("sends it at once")
        portal.type("Y")
        await portal.shows("you answered value")
        begun = await asyncio.to_thread(asking.begin)
        assert begun["prompt"]["state"] == "claimed"
        assert "30" in str(begun["value"])
    finally:
        portal.close()


async def test_what_was_called_sent_arrives_although_daemon_and_portal_are_killed(office: Node, bob: Session) -> None:
    _, prompt = await asyncio.to_thread(_asked, office, bob, action=Action("command", {"argv": ["ls"]}, "here"))
    home = PersonsHome(office)
    portal = Terminal(home, 100, 30)
    try:
        await portal.shows("1 needs you")
        portal.type("1")
        await portal.shows("asks you")
        portal.type("\r")
        await portal.shows("✓ text, signature and grant of bob")
        assert office.daemon is not None
        await asyncio.to_thread(office.daemon.kill)
        await portal.shows("offline")
        await portal.shows('"ls"')  # everything seen stays readable
        await _press(portal, "a", "sends it at once")
        portal.type("Y")
        await portal.shows("sent: approve; it goes when bzzzd is back")
        portal.process.kill()
        assert len(list((home.state / "portal" / "outbox").glob("*.answer"))) == 1
    finally:
        portal.close()
    await asyncio.to_thread(office.start)
    again = Terminal(home, 100, 30)
    try:
        await asyncio.to_thread(wait_for, "the answer", lambda: _state(office, prompt) == "answered")
        await asyncio.to_thread(
            wait_for, "an empty outbox", lambda: not list((home.state / "portal" / "outbox").glob("*.answer"))
        )
        await again.shows("answered .*approve")
    finally:
        again.close()


async def test_a_task_for_approval_is_done_by_a_real_agent_once_it_is_approved_here(office: Node) -> None:
    office.write_agent("asker")
    await asyncio.to_thread(office.start_agent, "asker")
    portal = Terminal(PersonsHome(office), 100, 30)
    try:
        await portal.shows("● alice")
        with office.person() as alice:
            argv = ["sh", "-c", "echo approved"]
            task = await asyncio.to_thread(
                lambda: alice.submit("say it", capability="run", args={"argv": argv}, approve=True)
            )
            await portal.shows("1 needs you")
            portal.type("1")
            await portal.shows("May I begin")
            portal.type("\r")
            await portal.shows("✓ text, signature and grant of asker")
            await portal.shows("echo approved")
            await _press(portal, "a", "asker may do command")
            if "high risk" in portal.text:
                portal.type("command\r")
            else:
                portal.type("Y")
            await portal.shows("it was done")
            await asyncio.to_thread(wait_for, "the task", lambda: alice.state(task) == "completed")
    finally:
        portal.close()


async def test_an_answer_can_be_taken_back_and_a_denial_ends_the_task(office: Node) -> None:
    office.write_agent("asker")
    await asyncio.to_thread(office.start_agent, "asker")
    portal = Terminal(PersonsHome(office), 100, 30)
    try:
        await portal.shows("● alice")
        with office.person() as alice:
            task = await asyncio.to_thread(
                lambda: alice.submit("say it", capability="run", args={"argv": ["true"]}, approve=True)
            )
            await portal.shows("1 needs you")
            portal.type("1")
            await portal.shows("May I begin")
            portal.type("\r")
            await portal.shows("✓ text, signature and grant of asker")
            await _press(portal, "d", "Deny: command")
            portal.type("y")
            await portal.shows("goes in . s; u takes it back")
            portal.type("u")
            await portal.shows("taken back: your answer deny")
            assert alice.state(task) == "input_required"
            await _press(portal, "d", "Deny: command")
            portal.type("y")
            await portal.shows("you answered deny", 30)
            await asyncio.to_thread(wait_for, "the task", lambda: alice.state(task) == "failed")
    finally:
        portal.close()
