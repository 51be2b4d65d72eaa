from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from bzzzd import __version__
from tests.ports import free_port

from .desk import Desk, serving
from .portals import PROGRAM, Home, piped


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


async def test_a_pipe_instead_of_a_terminal_gets_plain_lines(home: Home) -> None:
    desk = Desk()
    desk.task("t-1", title="First task")
    async with serving(desk, home.socket):
        status, out, errors = await piped(home, lines="tasks\n1\nagents\nquit\n")
    assert (status, errors) == (0, "")
    assert "online at node-1, as lena, role operator" in out
    assert "1. submitted" in out
    assert "First task (t-1)" in out
    assert "brief:\nthe brief" in out
    assert "1. worker-1, free, role worker" in out
    assert "\x1b" not in out


async def test_a_task_is_written_question_by_question_in_plain_mode(home: Home) -> None:
    desk = Desk()
    async with serving(desk, home.socket):
        status, out, _ = await piped(home, "--plain", lines="new\nCheck it\nline one\n\nline two\n.\n\n\nquit\n")
    assert status == 0
    (brief,) = desk.briefs.values()
    assert (brief["title"], brief["body"]) == ("Check it", "line one\n\nline two")
    assert "sent: “Check it”" in out


async def test_a_task_half_written_when_the_input_ends_is_kept_as_a_draft(home: Home) -> None:
    async with serving(Desk(), home.socket):
        await piped(home, "--plain", lines="new\nHalf a task\nsome body\n")
        _, out, _ = await piped(home, "--plain", lines="new\n")
    assert "going on with the draft that is kept, 'Half a task'" in out


async def test_a_cancel_left_waiting_is_sent_when_the_person_leaves(home: Home) -> None:
    desk = Desk()
    desk.task("t-1")
    async with serving(desk, home.socket):
        await piped(home, "--plain", lines="cancel t-1 no need\nquit\n")
    assert desk.tasks["t-1"]["state"] == "canceled"
    assert desk.tasks["t-1"]["reason"] == "no_need"


async def test_headless_speaks_json_both_ways(home: Home) -> None:
    desk = Desk()
    desk.task("t-1", state="completed", address="ucxl://worker-1:worker@default:t-1/*^/decision")
    lines = [
        {"action": "submit", "title": "T", "body": "B", "id": 1},
        {"action": "open", "task": "t-1", "id": 2},
        {"action": "earlier"},
        {"action": "fly", "id": 3},
        {"action": "quit", "id": 4},
    ]
    async with serving(desk, home.socket):
        status, out, errors = await piped(home, "--headless", lines="".join(json.dumps(line) + "\n" for line in lines))
    assert (status, errors) == (0, "")
    found = _objects(out)
    assert found[0] == {"type": "hello", "schema": 1, "version": __version__}
    assert {"link", "me", "status", "task", "agents", "health"} <= {line["type"] for line in found}
    handled = {line["re"]: line for line in found if line["type"] == "handled"}
    (command,) = handled[1]["commands"]
    outcomes = [line for line in found if line["type"] == "outcome"]
    assert [(line["command"], line["ok"]) for line in outcomes] == [(command, True)]
    decisions = [
        line["page"]["decision"]["text"] for line in found if line["type"] == "page" and line["page"]["decision"]
    ]
    assert decisions[0] == "decision, version 2"
    assert decisions[-1] == "decision, version 1"
    (error,) = [line for line in found if line["type"] == "error"]
    assert (error["re"], error["code"]) == (3, "BAD_INPUT")


async def test_without_a_daemon_headless_says_so_and_ends_with_its_input(home: Home) -> None:
    status, out, _ = await piped(home, "--headless", lines="")
    assert status == 0
    links = [line for line in _objects(out) if line["type"] == "link"]
    assert links[-1]["state"] == "offline"
    assert "bzzzd is not running" in links[-1]["why"]


async def test_who_has_no_grant_works_as_a_guest_and_reads_which_command_mends_it(home: Home) -> None:
    desk = Desk()
    desk.refuse = "lena has no person grant in this mesh; an administrator runs: sudo bzzz mesh admin add lena"
    desk.task("t-1")
    async with serving(desk, home.socket):
        _, out, _ = await piped(home, "--plain", lines="tasks\ncancel 1\nquit\n")
    assert "online at node-1, as a guest" in out
    assert "t-1" in out
    assert out.count("sudo bzzz mesh admin add lena") >= 2


async def test_the_person_s_key_is_made_at_the_first_start_and_kept(home: Home) -> None:
    async with serving(Desk(), home.socket):
        await piped(home, "--headless")
        key = (home.state / "person.key").read_bytes()
        await piped(home, "--headless")
    assert (home.state / "person.key").read_bytes() == key
    assert (home.state / "person.key").stat().st_mode & 0o077 == 0


async def test_a_key_that_others_can_read_is_not_used_and_the_person_is_told(home: Home) -> None:
    async with serving(Desk(), home.socket):
        await piped(home, "--headless")
        (home.state / "person.key").chmod(0o644)
        _, out, _ = await piped(home, "--plain", lines="quit\n")
    assert "as a guest" in out
    assert "chmod 600" in out


async def test_a_dumb_terminal_gets_plain_lines_and_ascii_where_it_has_no_utf8(home: Home) -> None:
    desk = Desk()
    desk.task("t-1", title="Über “alles” ✓")
    async with serving(desk, home.socket):
        _, out, _ = await piped(home, lines="tasks\nquit\n", TERM="dumb", LC_ALL="de_DE.ISO-8859-1")
    assert out.isascii()
    assert "?ber" in out


async def test_version_and_check_config_answer_at_once(home: Home) -> None:
    assert await piped(home, "--version") == (0, f"bzzz-hap {__version__}\n", "")
    status, out, _ = await piped(home, "--check-config")
    assert (status, out) == (0, "bzzz-hap: the configuration is sound\n")


async def test_a_faulty_configuration_is_refused_with_every_fault(home: Home) -> None:
    home.config.write_text("binary_type: hap\nagent: {rôle: x}\nai: {}\nnetwork: {socket: 7}\nsecurity: {}\n")
    for options in ((), ("--check-config",)):
        status, _, errors = await piped(home, *options)
        assert status == 2
        assert "hap.yaml:2" in errors
        assert "hap.yaml:4" in errors


async def test_a_web_portal_without_a_port_is_refused_with_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path, interface={"mode": "web"}, ports={"http_port": 0, "health_port": 0})
    status, _, errors = await piped(home)
    assert status == 2
    assert "ports.http_port" in errors


async def test_in_the_mode_web_it_serves_pages_and_says_where_without_the_secret_word(tmp_path: Path) -> None:
    ports = {"http_port": free_port(), "health_port": free_port()}
    home = Home(tmp_path, interface={"mode": "web"}, ports=ports)
    desk = Desk()
    desk.task("t-1", title="First task")
    async with serving(desk, home.socket):
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "--config", str(home.config), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env=home.environ(),
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(60):
                said = (await process.stdout.readline()).decode()
                url = (home.state / "portal" / "web-url").read_text().strip()
                word = url.partition("#enter=")[2]
                assert str(home.state / "portal" / "web-url") in said
                assert word not in said
                status, out, _ = await piped(home, "--plain", lines="tasks\nquit\n")  # beside the service
                assert (status, "First task" in out) == (0, True)
                async with ClientSession() as http:
                    async with http.get(f"http://127.0.0.1:{ports['health_port']}/healthz") as answer:
                        assert answer.status == 200
                    origin = {"Origin": f"http://127.0.0.1:{ports['http_port']}"}
                    async with http.post(
                        f"{url.partition('#')[0]}api/enter", json={"word": word}, headers=origin
                    ) as answer:
                        assert answer.status == 200
        finally:
            process.terminate()
            _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_as_a_service_it_shows_its_health_on_its_port_and_needs_no_input(tmp_path: Path) -> None:
    port = free_port()
    home = Home(tmp_path, interface={"mode": "headless"}, ports={"http_port": 0, "health_port": port})
    async with serving(Desk(), home.socket):
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "--config", str(home.config), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            env=home.environ(),
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(60):
                while b'"type":"me"' not in await process.stdout.readline():
                    pass
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                answer = await reader.read()
                writer.close()
            assert answer.startswith(b"HTTP/1.1 200")
            assert b"attached as lena" in answer
        finally:
            process.terminate()
            await process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("ending", ["quit", "SIGTERM"])
async def test_it_leaves_in_order_while_its_input_is_still_open(home: Home, ending: str) -> None:
    async with serving(Desk(), home.socket):
        process = await asyncio.create_subprocess_exec(
            *PROGRAM, "--config", str(home.config), "--plain", stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=home.environ(),
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(60):
            while b"online" not in await process.stdout.readline():
                pass
            if ending == "quit":
                process.stdin.write(b"quit\n")
            else:
                process.terminate()
            assert await process.wait() == 0
            assert await process.stderr.read() == b""
        process.stdin.close()


async def test_a_line_without_end_is_taken_in_pieces(home: Home) -> None:
    async with serving(Desk(), home.socket):
        status, out, _ = await piped(home, "--plain", lines="x" * 3_000_000 + "\ntasks\n")
    assert status == 0
    assert "there is no command" in out
    assert len(out) < 100_000
