"""What guests may ask for: signed by the node, for a named user, a few at a time."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bzzzd.config.roles import RolesFile, default_roles
from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.gate import Gate
from bzzzd.daemon.membership.guests import BURST, OPEN_MOST, AskParams, GuestDesk, user_of
from bzzzd.errors import NotAllowed, NotAttached, NotFound, Overloaded
from bzzzd.identity.caller import Caller
from bzzzd.identity.policy import Policy, PolicyRecord
from bzzzd.slurp.brief import open_brief
from bzzzd.slurp.commands import Submit, open_command
from bzzzd.ucxl.version import open_version

MESH = "mesh-of-the-tests"
KEY = SigningKey.generate()
WANTED = AskParams(title="Look at this", body="please", capability="answer", priority=7)


class Desk:
    """A desk over a ledger of states by task id, whose clock stands until it is set."""

    def __init__(self, roles: RolesFile | None = None) -> None:
        self.now = 0.0
        self.states: dict[str, str] = {}
        self.signed: list[dict[str, bytes]] = []
        self.fault: Exception | None = None
        policy = Policy(PolicyRecord(number=1, at=0.0, roles=roles or default_roles()))
        self.desk = GuestDesk(
            KEY, MESH, "atlas", "node", Gate(lambda: policy), self, self.submit, epoch=lambda: 3,
            clock=lambda: self.now, wall=lambda: 1.7e9,
        )  # fmt: skip

    async def submit(self, call: Any, **signed: bytes) -> dict[str, Any]:
        if self.fault is not None:
            raise self.fault
        self.signed.append(signed)
        task = open_command(signed["envelope"], MESH)[1].task
        self.states[task] = "submitted"
        return {"task": {"id": task}}

    async def show(self, task_id: str) -> Any:
        if task_id not in self.states:
            raise NotFound(task_id)
        return SimpleNamespace(state=self.states[task_id])

    def ask(self, uid: int | None = None, kind: Any = "guest") -> dict[str, Any]:
        caller = Caller(os.getuid() if uid is None else uid, 0, 0, kind=kind, id="" if kind == "guest" else "alice")
        return asyncio.run(self.desk.ask(SimpleNamespace(caller=caller), WANTED))

    def fill(self) -> None:
        while len(self.states) < OPEN_MOST:
            self.now += 60.0
            self.ask()


def test_the_node_signs_brief_and_submit_and_says_for_whom() -> None:
    desk = Desk()
    task = desk.ask()["task"]["id"]
    envelope, command = open_command(desk.signed[0]["envelope"], MESH)
    assert isinstance(command, Submit)
    assert envelope.author == KEY.public
    assert (command.task, command.capability, command.priority, command.approve) == (task, "answer", 7, False)
    brief = open_brief(desk.signed[0]["content"])
    assert (brief.title, brief.body, brief.args) == ("Look at this", "please", {})
    assert brief.asked_by == f"{user_of(os.getuid())} (uid {os.getuid()})"
    header = open_version(desk.signed[0]["version"], MESH)[1]
    assert {"operator", "worker"} <= set(header.readers)
    assert header.epoch == 3


def test_a_policy_without_it_refuses_with_the_command_that_makes_a_person() -> None:
    desk = Desk(msgspec.structs.replace(default_roles(), guests=("status",)))
    with pytest.raises(NotAttached, match="sudo bzzz mesh admin add"):
        desk.ask()
    assert not desk.signed


def test_whoever_has_a_grant_signs_with_the_own_key() -> None:
    with pytest.raises(NotAllowed, match="bzzz task submit"):
        Desk().ask(kind="person")


def test_a_user_that_asks_too_fast_waits_and_others_do_not() -> None:
    desk = Desk()
    for _ in range(int(BURST)):
        desk.ask()
    with pytest.raises(Overloaded, match="too fast"):
        desk.ask()
    assert desk.ask(uid=4_000_000)
    desk.now += 7.0
    assert desk.ask()


def test_a_user_has_few_open_tasks_and_gets_room_when_one_ends() -> None:
    desk = Desk()
    desk.fill()
    desk.now += 600.0
    with pytest.raises(Overloaded, match="are open"):
        desk.ask()
    desk.states[next(iter(desk.states))] = "completed"
    assert desk.ask()


def test_a_refused_task_does_not_count_as_open() -> None:
    desk = Desk()
    desk.fault = NotAllowed("no")
    for _ in range(OPEN_MOST + 1):
        desk.now += 60.0
        with pytest.raises(NotAllowed, match="no"):
            desk.ask()
    desk.fault = None
    assert desk.ask()
