"""``bzzz prompt`` against a scripted daemon: what is not proven is neither shown nor answered."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from bzzzd.hap.link.proof import prove
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.pins import pins_in
from tests.hap.asking import FORGERIES, TRUST, Asking
from tests.hap.desk import Desk, serving
from tests.hap.portals import Home

OTHER = b"\x05" * 32


class Forged(Asking):
    """A question of which the daemon tells something else."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def shown(self, **more: Any) -> dict[str, Any]:
        told = {**FORGERIES[self._name][0](Asking()), **more}
        return told if "prompt" in more else {**told, "prompt": {**told["prompt"], "for_me": True}}


async def bzzz(home: Home, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bzzzd.cli.main", *arguments, "--socket", str(home.socket),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=home.environ(BZZZ_CONFIG_PATH=str(home.config)),
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()


async def test_an_honest_question_is_shown_and_answered(tmp_path: Path) -> None:
    desk, home = Desk(), Home(tmp_path)
    desk.ask(Asking())
    async with serving(desk, home.socket):
        status, out, _ = await bzzz(home, "prompt", "show", "p-0001")
        assert (status, "May I delete the old backups?" in out) == (0, True)
        assert (await bzzz(home, "prompt", "answer", "p-0001", "--choice", "approve"))[0] == 0
    assert [reply.choice for reply in desk.prompts["p-0001"].prompt.replies] == ["approve"]
    found = pins_in(home.state, str(home.socket)).trust()
    assert found is not None
    assert found.authority == TRUST.authority


@pytest.mark.parametrize("name", ["another authority", "a key without a grant", "a person who asks", "another text"])
async def test_what_the_portal_would_not_answer_is_refused_with_its_words_and_code(tmp_path: Path, name: str) -> None:
    desk, home = Desk(), Home(tmp_path)
    forged = Forged(name)
    desk.ask(forged)
    fault = prove(forged.shown(), TRUST, time.time()).fault
    async with serving(desk, home.socket):
        refused = await bzzz(home, "prompt", "answer", "p-0001", "--choice", "approve")
        shown = await bzzz(home, "prompt", "show", "p-0001")
        told = await bzzz(home, "prompt", "show", "p-0001", "--json")
    assert (refused[0], refused[2]) == (3, f"bzzz: do not answer it: {fault} ({FORGERIES[name][1]})\n")
    assert shown[0] == 3
    assert "p-0001" in shown[1]
    assert "ACTION" not in shown[1]
    assert (told[0], json.loads(told[1])["document"]) == (3, None)
    assert not desk.commands


async def test_a_denial_of_what_is_not_proven_is_refused_as_well(tmp_path: Path) -> None:
    desk, home = Desk(), Home(tmp_path)
    desk.ask(Forged("no chain"))
    async with serving(desk, home.socket):
        status, _, errors = await bzzz(home, "prompt", "answer", "p-0001", "--choice", "deny")
    assert (status, "GRANT_REFUSED" in errors) == (3, True)
    assert not desk.commands


async def test_another_authority_than_the_pinned_one_speaks_for_nobody(tmp_path: Path) -> None:
    desk, home = Desk(), Home(tmp_path)
    desk.ask(Asking())
    pins_in(home.state, str(home.socket)).pin(mesh_id_of(OTHER), OTHER)
    async with serving(desk, home.socket):
        status, _, errors = await bzzz(home, "prompt", "answer", "p-0001", "--choice", "approve")
    assert (status, "has pinned the authority of mesh" in errors) == (3, True)
    assert not desk.commands
