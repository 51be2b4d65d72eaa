"""An agent's question in the portal of a person on another node: to the badge, and from the answer's key back.

The portal is the real one in a terminal device, its node keeps the ledger, the agent's node holds the copy. From
the question: from before ``prompt.ask`` is called to the badge in what the portal writes. From the answer: from the
key that sends it to the agent having begun, which is when it may act. Beside them stands a status call on the
agent's node, which is what one hop of the same client takes here.

Kills: the portal is ended with SIGKILL some random milliseconds after the key that sends, and started again.
Whatever it had called sent must be in the ledger, once; what it had not must still be in the inbox, or answered.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import random
import select
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

Row = dict[str, Any]

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
MOST_MS = 100.0
LIMIT_S = 60.0
WARM = 3


def part(name: str) -> ModuleType:
    """Another part of the bench, by its file."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", HERE.parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def rounds(person: Any, agent: Any, terminal: Any, count: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds to the badge, from the answer's key to the begun action, and of a bare status call, each round."""
    from bzzzd.errors import BzzzError
    from bzzzd.rpc.client import AsyncClient
    from bzzzd.rpc.follower import Items
    from bzzzd.slurp.asking import ask_params, new_nonce
    from bzzzd.slurp.commands import Begin, Claim, Finish, new_prompt_id
    from bzzzd.slurp.question import PROMPT_TYPE, Action, Question, To, action_digest, prompt_address

    answered: dict[str, asyncio.Future[None]] = {}
    badges, steps, calls = [], [], []
    async with AsyncClient(str(agent.socket), "bench", sign=agent.session.sign) as client:
        session = agent.session
        session.told = client.state.attached
        listening = asyncio.Event()

        async def listen() -> None:
            async for event in client.subscribe("prompts"):
                listening.set()
                for item in event.items if isinstance(event, Items) else ():
                    future = answered.get(item["prompt"]["id"])
                    if item["kind"] == "answered" and future is not None and not future.done():
                        future.set_result(None)

        async def claim(task: str) -> Any:
            until = time.monotonic() + LIMIT_S
            while True:
                try:
                    return await client.call("task.claim", session.command(Claim, task))
                except BzzzError:
                    if time.monotonic() > until:
                        raise
                    await asyncio.sleep(0.01)

        listener = asyncio.create_task(listen())
        await listening.wait()
        for number in range(WARM + count):
            task = await asyncio.to_thread(person.submit, "Bench", capability="ask")
            token = tuple((await claim(task))["token"])
            now, action = time.time(), Action("command", {"argv": ["true"]}, task)
            question = Question(
                id=new_prompt_id(now), mesh=session.mesh_id, task=task, by=session.id, to=To(roles=("admin",)),
                kind="approve", title=f"May I go on with number {number}?", action=action, expires=now + 600,
                nonce=new_nonce(),
            )  # fmt: skip
            place = prompt_address(session.id, session.role, "default", task, question.id)
            prepared = await client.call("context.prepare", {"address": place, "content_type": PROMPT_TYPE})
            params = ask_params(
                session.writer(), question, token=token, project="default", readers=prepared["readers"], at=now
            )
            future = answered[question.id] = asyncio.get_running_loop().create_future()

            badge = asyncio.create_task(asyncio.to_thread(terminal.until, b"needs you"))
            began = time.perf_counter()
            await client.call("prompt.ask", params)
            badges.append(1000 * (await badge - began))

            await asyncio.to_thread(open_and_confirm, terminal)
            pressed = time.perf_counter()
            terminal.press(b"Y")
            async with asyncio.timeout(LIMIT_S):
                await future
            digest = action_digest(action, task)
            begun = await client.call(
                "prompt.begin", session.command(Begin, task, token=token, prompt=question.id, action=digest)
            )
            steps.append(1000 * (time.perf_counter() - pressed))
            if begun["prompt"]["state"] != "claimed":
                raise RuntimeError(f"prompt {question.id} is {begun['prompt']['state']}")
            await client.call(
                "prompt.finish", session.command(Finish, task, token=token, prompt=question.id, result="executed")
            )
            began = time.perf_counter()
            await client.call("status", {})
            calls.append(1000 * (time.perf_counter() - began))
            await asyncio.to_thread(terminal.leave)
            del answered[question.id]
        listener.cancel()
    return badges[WARM:], steps[WARM:], calls[WARM:]


def open_and_confirm(terminal: Any) -> None:
    """Open the question and go to the key that sends, as a person does."""
    terminal.press(b"1")
    terminal.drain(0.05)
    terminal.press(b"\r")
    terminal.until(b"lead to the authority")
    end = time.perf_counter() + LIMIT_S
    while time.perf_counter() < end:  # it takes no answer before it has been in view for a moment
        terminal.press(b"a")
        try:
            terminal.until(b"at once", 0.2)
        except RuntimeError:
            continue
        terminal.drain(0.05)
        return
    raise RuntimeError("the prompt never took an answer")


class Agent:
    """Where the agent is, and what signs for it."""

    def __init__(self, node: Any) -> None:
        self.socket = node.socket
        self.session = node.agent("bob", capabilities=("ask",), slots=1000)


def window(node: Any) -> Any:
    """The portal of the node's person, in a terminal device of 120 columns."""

    class Window(part("portal").Terminal):  # type: ignore[misc]
        def press(self, key: bytes) -> None:
            os.write(self.master, key)

        def shows(self, wanted: bytes) -> None:
            """Wait until the window has it, drawn anew each time."""
            end = time.perf_counter() + LIMIT_S
            while time.perf_counter() < end:
                self.press(b"\x0c")
                try:
                    self.until(wanted, 0.2)
                except RuntimeError:
                    continue
                return
            raise RuntimeError(f"{wanted!r} is not in the window")

        def until_killed(self, seconds: float) -> bytes:
            """Kill it after so long; gives what it had written by then."""
            said, end = b"", time.perf_counter() + seconds
            while (left := end - time.perf_counter()) > 0:
                if select.select([self.master], [], [], left)[0]:
                    said += os.read(self.master, 65536)
            self.process.kill()
            self.process.wait()
            while select.select([self.master], [], [], 0)[0]:
                try:
                    said += os.read(self.master, 65536)
                except OSError:  # nobody holds its other end any more
                    break
            return said

        def leave(self) -> None:
            """Back to the list, and everything written read."""
            self.press(b"\x1b")
            self.drain(0.15)

    found = Window([sys.executable, "-m", "bzzzd.hap.main", "--config", str(node.folder / "hap.yaml")], (120, 40),
                   HOME=str(node.folder), BZZZ_SOCKET=str(node.socket))  # fmt: skip
    found.until(node.person_id.encode())
    return found


def measure(count: int) -> tuple[list[float], list[float], list[float]]:
    """What ``rounds`` measures between two nodes."""
    import uvloop

    from tests.integration.conftest import wait_for

    copied = part("mesh_tasks").copied
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as name, part("messages").pair(Path(name)) as nodes:
        one, two = nodes[0], nodes[1]
        wait_for("a copy", lambda: copied(one))
        terminal = window(one)
        try:
            with one.person() as person:
                return uvloop.run(rounds(person, Agent(two), terminal, count))
        finally:
            terminal.close()


def kills(count: int) -> dict[str, int]:
    """How many answers were called sent before a kill, how many of those the ledger has not, and what else is wrong."""
    from tests.integration.conftest import nodes_in, wait_for
    from tests.integration.prompting import Asking, state_of

    found = {"killed": 0, "sent": 0, "lost": 0, "stuck": 0, "double": 0}
    chance = random.Random(7)  # noqa: S311  when to kill
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as name, nodes_in(Path(name)) as make:
        node = make(slurp={"lease_s": 60.0})
        node.start()
        outbox = node.person_state / "portal" / "outbox"
        with node.person() as person, node.agent("bob", capabilities=("ask",), slots=1000) as agent:
            for number in range(count):
                # The badge of the first frame may be an earlier question's, from the cache: this one has its own title.
                title = f"May I remove folder {number}?"
                prompt = Asking(agent, person.submit("Bench", capability="ask"), title=title).ask()
                terminal = window(node)
                try:
                    terminal.press(b"1")
                    terminal.shows(title.encode())
                    open_and_confirm(terminal)
                    terminal.press(b"Y")
                    said = terminal.until_killed(chance.uniform(0, 0.2))
                finally:
                    terminal.close()
                found["killed"] += 1
                called_sent = b"sent: approve" in said or b"you answered" in said
                found["sent"] += called_sent
                again = window(node)
                try:
                    wait_for("the outbox to be empty", lambda: not list(outbox.glob("*.answer")))
                    state = state_of(person, prompt)
                    if called_sent and state != "answered":
                        found["lost"] += 1
                    if state not in ("answered", "open", "seen"):
                        found["stuck"] += 1
                    shown = person.call("prompt.show", id=prompt)["prompt"]
                    found["double"] += len(shown["answers"]) > 1
                    if state != "answered":
                        again.press(b"1")
                        again.shows(title.encode())
                        open_and_confirm(again)
                        again.press(b"Y")
                        wait_for("the answer", lambda prompt=prompt: state_of(person, prompt) == "answered")
                finally:
                    again.close()
    return found


def run(quick: bool) -> list[Row]:
    """The rows of the table."""
    sys.path.insert(0, str(ROOT))
    badges, steps, calls = measure(15 if quick else 60)
    base = median(calls)
    killed = kills(6 if quick else 30)
    wrong = killed["lost"] + killed["stuck"] + killed["double"]
    return [
        {
            "name": name, "asked": f"< {MOST_MS:g} ms", "measured": median(found), "baseline": base,
            "ratio": median(found) / base, "unit": "ms", "ok": median(found) < MOST_MS,
        }
        for name, found in (
            ("a question on another node to the badge on screen, p50", badges),
            ("the answer's key to the agent's next step, p50", steps),
        )
    ] + [
        {
            "name": f"{killed['killed']} kills of the portal while it answers, {killed['sent']} had called it sent",
            "asked": "0 lost, double or stuck", "measured": wrong, "baseline": None, "ratio": None, "unit": "answers",
            "ok": wrong == 0,
        }
    ]  # fmt: skip


if __name__ == "__main__":
    for row in run("--quick" in sys.argv):
        print(row)
