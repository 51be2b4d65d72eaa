"""A thread between two nodes: an agent's question to a person's screen, the answer to the agent's next step.

The agent works on one node and the person on the other. Times are from before the signing to the item on the
person's stream, and to the moment when the agent has read the answer that its ears were woken by; both are the
agent's own code. Beside them a message on a topic, between the same clients in the same run.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
ASKED_MS = 100.0
TOPIC = "bench"
PAUSE_S = 0.05
LIMIT_S = 30.0


class Side:
    """A client of one node, attached as an agent or as the node's person."""

    def __init__(self, node: Any, session: Any) -> None:
        from bzzzd.agent.signer import Signer
        from bzzzd.agent.talk.voice import Voice
        from bzzzd.rpc.client import AsyncClient

        self.session = session
        self.client = AsyncClient(str(node.socket), "bench", sign=session.sign, timeout=LIMIT_S)
        self._signer = Signer(session.key, session._asks["id"], session._asks["role"], wall=time.time)
        self.voice = Voice(self.client, self._signer, time.time)

    async def ready(self) -> None:
        await self.client.ready(LIMIT_S)
        self._signer.mesh_id = self.session.mesh_id


async def _first(client: Any, stream: str, began: asyncio.Event, seen: asyncio.Queue[float]) -> None:
    """Put the time of each item of a stream into ``seen``."""
    async for event in client.subscribe(stream):
        if not hasattr(event, "items"):
            began.set()
            continue
        for _ in event.items:
            seen.put_nowait(time.perf_counter())


async def _measure(nodes: list[Any], count: int) -> dict[str, float]:
    from bzzzd.agent.talk.ears import Ears
    from bzzzd.hmmm.message import new_thread_id

    agent = Side(nodes[0], nodes[0].agent("bench-agent"))
    person = Side(nodes[1], nodes[1].person())
    async with agent.client, person.client, asyncio.TaskGroup() as group:
        await agent.ready()
        await person.ready()
        ears = Ears(lambda: agent.client.subscribe("hmmm"))
        heard, told, begun = asyncio.Queue[float](), asyncio.Queue[float](), [asyncio.Event(), asyncio.Event()]
        tasks = [
            group.create_task(ears.follow()),
            group.create_task(_first(person.client, "hmmm", begun[0], heard)),
            group.create_task(_first(person.client, f"topic:{TOPIC}", begun[1], told)),
        ]
        for event in begun:
            await event.wait()
        questions, answers, messages = list[float](), list[float](), list[float]()
        async with asyncio.timeout(LIMIT_S + count):
            for number in range(count + 5):
                await asyncio.sleep(PAUSE_S)
                task = {"id": new_thread_id(time.time()), "project": "default"}
                at = time.perf_counter()
                asked = await agent.voice.say(task, "question", "Which of the two?", to=("person-2",))
                questions.append(await heard.get() - at)
                await ears.wait(task["id"], PAUSE_S)  # its own question
                at = time.perf_counter()
                saying = asyncio.create_task(
                    person.voice.say(task, "answer", "The other one.", reply_to=asked["id"], after=asked["at"])
                )
                while len(await agent.voice.read(task["id"])) < 2:
                    await ears.wait(task["id"], 1.0)
                answers.append(time.perf_counter() - at)
                await saying
                await heard.get()
                at = time.perf_counter()
                await agent.client.call("publish", agent.session.message(TOPIC, {"number": number}))
                messages.append(await told.get() - at)
        for running in tasks:
            running.cancel()
    return {
        "question": median(questions[5:]) * 1e3, "answer": median(answers[5:]) * 1e3,
        "message": median(messages[5:]) * 1e3,
    }  # fmt: skip


def measure(count: int) -> dict[str, float]:
    from bzzzd.crypto.keys import SigningKey
    from tests.integration.conftest import nodes_in
    from tests.integration.test_mesh_threads import mesh_of, start

    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as folder, nodes_in(Path(folder)) as make:
        nodes = mesh_of(make, SigningKey.generate(), 2)
        start(*nodes)
        return asyncio.run(_measure(nodes, count))


def run(quick: bool) -> list[Row]:
    sys.path.insert(0, str(ROOT))
    found = measure(50 if quick else 300)
    names = {
        "question": "an agent's question on another node to the screen, p50",
        "answer": "a person's answer to the agent's next step, p50",
    }
    return [
        {
            "name": name, "asked": f"under {ASKED_MS:g} ms", "measured": round(found[key], 2),
            "baseline": round(found["message"], 2), "ratio": round(found[key] / found["message"], 2), "unit": "ms",
            "ok": found[key] < ASKED_MS,
        }
        for key, name in names.items()
    ]  # fmt: skip
