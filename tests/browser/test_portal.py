"""The portal in a real browser: by keyboard alone, looked at by axe, and with its daemon going away."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bzzzd.crypto.keys import SigningKey
from bzzzd.slurp.question import Action, Choice, Field
from tests.hap.asking import Asking
from tests.hap.desk import Desk, serving
from tests.hap.nodes import one_node
from tests.hap.portals import PROGRAM, Home
from tests.hap.test_rooms_daemon import ADDRESS, NOW, bzzz
from tests.ports import free_port

from .kit import Absent, browse, chromium, node

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
T = TypeVar("T")


def had(fetch: Callable[[], T]) -> T:
    """What ``fetch`` gives; where it cannot be had the tests are skipped, but not in CI, which must have it."""
    try:
        return fetch()
    except Absent as why:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(why))


@pytest.fixture(autouse=True)
def browser() -> None:
    had(chromium)
    had(node)


@asynccontextmanager
async def portal(home: Home) -> AsyncIterator[dict[str, Any]]:
    """A web portal as a process; gives the URL that lets one browser in, and the bare address."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--config", str(home.config), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=home.environ(),
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            assert b"the portal is at" in await process.stdout.readline()
        url = (home.state / "portal" / "web-url").read_text().strip()
        yield {"url": url, "address": url.partition("#")[0]}
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, interface={"mode": "web"}, ports={"http_port": free_port(), "health_port": 0})


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.task("t-1", title="First task", state="completed", address="ucxl://worker-1:worker@default:t-1/*^/decision")
    desk.task("t-2", title="長い題名 crème brûlée " + "x" * 200, state="working")
    desk.briefs["t-1"] = {"title": "First task", "body": "the brief\n" + "long " * 400}
    return desk


PAGES = [["#/tasks/t-1", "First task"], ["#/new", "New task"], ["#/help", "Help and keys"]]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (320, "dark")])
async def test_axe_finds_nothing_on_any_page(home: Home, desk: Desk, width: int, scheme: str) -> None:
    async with serving(desk, home.socket), portal(home) as where:
        found = await browse("inspection", {**where, "pages": PAGES, "width": width, "scheme": scheme}, home.folder)
    assert min(found.values()) > 10


async def test_a_task_is_written_canceled_and_found_by_keyboard_alone(home: Home, desk: Desk) -> None:
    async with serving(desk, home.socket), portal(home) as where:
        await browse("task", where, home.folder)
    (brief,) = [brief for id, brief in desk.briefs.items() if id != "t-1"]
    assert (brief["title"], brief["body"]) == ("Check the <b>mail</b> n 5 ?", "All of it.\nEvery line.")
    assert len(desk.commands) == 2


@pytest.fixture
def questions(desk: Desk) -> Desk:
    """A question of each kind to lena, and one whose text another key has signed."""
    hosts = (Field("host", "Host", help="its name"), Field("why", "Why", "lines", required=False))
    for asking in (
        Asking("p-1"),
        Asking(
            "p-2",
            title="Which of them?",
            kind="choose",
            choices=(Choice("first", "The first"), Choice("second", "The second")),
        ),
        Asking("p-3", title="Why so?", kind="text", risk="low"),
        Asking("p-4", title="Fill this in", kind="form", form=hosts),
        Asking("p-5", title="Reboot host-3", risk="high", action=Action("reboot", {}, "host-3"), evidence=("ab" * 32,)),
        Asking("p-6", title="A forged one", key=SigningKey.generate()),
    ):
        desk.ask(asking)
    return desk


async def test_questions_are_answered_by_keyboard_alone_and_in_two_steps(home: Home, questions: Desk) -> None:
    async with serving(questions, home.socket), portal(home) as where:
        await browse("prompts", where, home.folder, limit=200)
    given = {id: [answer.choice for answer in one.prompt.replies] for id, one in questions.prompts.items()}
    assert given == {
        "p-1": ["deny"], "p-2": ["second"], "p-3": ["value"], "p-4": ["value"], "p-5": ["approve"], "p-6": [],
    }  # fmt: skip
    assert b"Because <i>it</i> rains.\nOften." in questions.values["p-3"].replace(b"\\n", b"\n")
    assert b"host-9" in questions.values["p-4"]


async def test_a_question_that_changes_while_it_is_read_takes_no_answer(home: Home, desk: Desk) -> None:
    desk.ask(Asking())
    changing = asyncio.Semaphore(0)
    async with serving(desk, home.socket), portal(home) as where:
        walking = asyncio.create_task(browse("changing", where, home.folder, waits=changing))
        await changing.acquire()
        desk.ask(Asking(body="They are 80 GB."))
        await walking
    assert desk.prompts["p-0001"].prompt.replies == ()


async def test_a_used_address_lets_nobody_in_and_signing_out_ends_a_session(home: Home, desk: Desk) -> None:
    async with serving(desk, home.socket), portal(home) as where:
        await browse("door", where, home.folder)


async def test_while_the_daemon_is_away_the_page_shows_what_it_saw_and_comes_back(home: Home, desk: Desk) -> None:
    seen = asyncio.Semaphore(0)
    async with portal(home) as where:
        async with serving(desk, home.socket):
            walking = asyncio.create_task(browse("away", where, home.folder, waits=seen))
            await seen.acquire()
        await seen.acquire()
        desk.task("t-9", title="Second task")
        async with serving(desk, home.socket):
            await walking


async def test_while_the_portal_is_away_the_page_says_so_and_its_restart_asks_to_sign_in(
    home: Home, desk: Desk
) -> None:
    seen = asyncio.Semaphore(0)
    async with serving(desk, home.socket):
        async with portal(home) as where:
            walking = asyncio.create_task(browse("restart", where, home.folder, waits=seen))
            await seen.acquire()
        await seen.acquire()
        async with portal(home):
            await walking


async def test_threads_and_context_of_a_real_node_are_read_and_written_by_keyboard_alone(tmp_path: Path) -> None:
    async with one_node(tmp_path) as home:
        whole = json.loads(home.config.read_text())
        ports = {"http_port": free_port(), "health_port": 0}
        home.config.write_text(json.dumps({**whole, "interface": {"mode": "web"}, "ports": ports}))
        await bzzz(home, "context", "put", ADDRESS, "--body", "They hold the queues.\nThe keys are missing.")
        await bzzz(home, "context", "put", ADDRESS, "--body", NOW)
        task = json.loads(await bzzz(home, "task", "submit", "Check the backups"))["task"]["id"]
        await bzzz(home, "hmmm", "post", task, "I read the notes first.", "--kind", "proposal", "--refs", ADDRESS)
        async with portal(home) as where:
            found = await browse("rooms", {**where, "context": ADDRESS}, tmp_path, limit=200)
        said = json.loads(await bzzz(home, "hmmm", "show", task))["messages"]
    assert found == {"name": "mail-t-9-backups-v2", "saved": NOW}
    assert [one["text"] for one in said if one["reply_to"]] == ["Which <u>notes</u>?"]
