"""Prompts: what a question and an answer take across two nodes, and what a storm of kills does to a thousand of them.

The ledger and the person are on one node, the agent on the other, as far as can be from its ledger; each step is
durable on both nodes before it is answered. The baseline is a task's claim from the agent's node in the same run.
The storm is that of ``tests/integration/storm.py``, with kill -9 of the portal at which the person answers, of both
daemons and of the agent at random moments.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
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
LIMIT_S = 30.0


def part(name: str) -> ModuleType:
    """Another part of the bench, by its file."""
    spec = importlib.util.spec_from_file_location(f"bench_{name}", HERE.parent / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


async def talk(one: str, two: str, person_key: str, id: str, chain: bytes, count: int) -> None:
    """Ask, answer and begin ``count`` times; print the milliseconds of claims, questions and answers."""
    from bzzzd.crypto.keys import SigningKey, load_key
    from bzzzd.identity.attach import attach_params
    from bzzzd.rpc.client import AsyncClient
    from bzzzd.rpc.follower import Items
    from bzzzd.slurp.asking import answer_params, ask_params, new_nonce
    from bzzzd.slurp.brief import Brief, Writer, submit_params
    from bzzzd.slurp.commands import Begin, Cancel, Claim, Command, Release, new_command_id, new_prompt_id, seal_command
    from bzzzd.slurp.question import Action, Question, To, action_digest

    keys = {"person": load_key(Path(person_key)), "agent": SigningKey.generate()}

    def sign(kind: str) -> Any:
        def proof(nonce: bytes, mesh_id: str) -> dict[str, Any]:
            if kind == "person":
                return attach_params(keys[kind], nonce, mesh_id, kind=kind, id=id, role="admin", chain=[chain])
            return attach_params(
                keys[kind], nonce, mesh_id, kind="agent", id="bench-asker", role="worker", capabilities=("ask",),
                slots=4,
            )  # fmt: skip

        return proof

    heard: dict[tuple[str, str], asyncio.Future[float]] = {}

    def expect(kind: str, who: str) -> asyncio.Future[float]:
        heard[kind, who] = asyncio.get_running_loop().create_future()
        return heard[kind, who]

    async def listen(client: Any, who: str, ready: asyncio.Event) -> None:
        async for event in client.subscribe("prompts"):
            ready.set()
            for item in event.items if isinstance(event, Items) else ():
                future = heard.get((item["kind"], who))
                if future is not None and not future.done():
                    future.set_result(time.perf_counter())

    found: dict[str, list[float]] = {"claim": [], "question": [], "answer": []}
    async with (
        AsyncClient(one, "bench", sign=sign("person")) as person,
        AsyncClient(two, "bench", sign=sign("agent")) as agent,
    ):
        told, mine = person.state.attached, agent.state.attached
        assert told is not None
        assert mine is not None
        mesh = str(told["mesh_id"])
        writer = Writer(keys["person"], mesh, id, told["caller"]["role"], told["epoch"])
        asker = Writer(keys["agent"], mesh, "bench-asker", "worker", told["epoch"])

        def command(kind: type[Command], task: str, by: Writer = asker, **fields: Any) -> dict[str, bytes]:
            now = time.time()
            said = kind(id=new_command_id(now), task=task, at=now, **fields)
            return {"envelope": seal_command(by.key, mesh, said)}

        ready = asyncio.Event(), asyncio.Event()
        listeners = [
            asyncio.create_task(listen(person, "person", ready[0])),
            asyncio.create_task(listen(agent, "agent", ready[1])),
        ]
        for one_ready in ready:
            await one_ready.wait()
        for turn in range(count + 10):
            brief = told["readers"]["brief"]
            task, params = submit_params(writer, Brief("Bench"), readers=brief, at=time.time(), capability="ask")
            await person.call("task.submit", params)
            began = time.perf_counter()
            claimed = await agent.call("task.claim", command(Claim, task))
            times = {"claim": time.perf_counter() - began}
            now = time.time()
            action, token = Action("command", {"argv": ["true"]}, task), tuple(claimed["token"])
            question = Question(
                id=new_prompt_id(now), mesh=mesh, task=task, by="bench-asker", to=To(roles=("admin",)), kind="approve",
                title="May I?", action=action, expires=now + 600, nonce=new_nonce(),
            )  # fmt: skip
            params = ask_params(
                asker, question, token=(token[0], token[1]), project="default", readers=claimed["readers"], at=now
            )
            asked = expect("asked", "person")
            began = time.perf_counter()
            prompt = (await agent.call("prompt.ask", params))["prompt"]
            async with asyncio.timeout(LIMIT_S):
                times["question"] = await asked - began
            answered = expect("answered", "agent")
            params = answer_params(
                writer, prompt=prompt["id"], task=task, digest=prompt["digest"], choice="approve", at=time.time()
            )
            begin = command(Begin, task, token=token, prompt=prompt["id"], action=action_digest(action, task))
            began = time.perf_counter()
            sending = asyncio.create_task(person.call("prompt.answer", params))
            async with asyncio.timeout(LIMIT_S):
                await answered
            assert (await agent.call("prompt.begin", begin))["prompt"]["state"] == "claimed"
            times["answer"] = time.perf_counter() - began
            await sending
            await agent.call("task.release", command(Release, task, token=token))
            await person.call("task.cancel", command(Cancel, task, writer))
            if turn >= 10:
                for name, seconds in times.items():
                    found[name].append(1000 * seconds)
        for listener in listeners:
            listener.cancel()
    print("MEASURED " + json.dumps(found))


def latencies(count: int) -> dict[str, list[float]]:
    """Milliseconds of claims, questions and answers across two nodes."""
    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as name, part("messages").pair(Path(name)) as nodes:
        from tests.integration.conftest import wait_for

        one, two = nodes[0], nodes[1]
        wait_for("a copy", lambda: part("mesh_tasks").copied(one))
        command = [
            sys.executable, str(HERE), str(one.socket), str(two.socket), str(one.person_state / "person.key"),
            one.person_id, one.chain[0].hex(), str(count),
        ]  # fmt: skip
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=600).stdout
    line = next(line for line in said.splitlines() if line.startswith("MEASURED "))
    measured: dict[str, list[float]] = json.loads(line.removeprefix("MEASURED "))
    return measured


def stormy(count: int, limit_s: float) -> Any:
    """``count`` prompts under kills."""
    from tests.integration.conftest import Program, nodes_in
    from tests.integration.storm import storm
    from tests.integration.test_mesh_tasks import mesh_of

    with tempfile.TemporaryDirectory(prefix="bzzz-bench-") as name, nodes_in(Path(name)) as make:
        one, two = mesh_of(make, 2)
        config = two.write_agent("stormy", agent={"slots": 32})
        witness = Path(name) / "witness"
        argv = [sys.executable, "-m", "tests.integration.storm", str(config), str(witness), "0.05"]

        def agent() -> Program:
            program = Program(argv, two.folder / "stormy.log", {**two.env, "PYTHONPATH": str(ROOT)}, cwd=str(ROOT))
            two.programs.append(program)
            return program

        return storm(one, two, agent, witness, count=count, at_once=32, every_s=2.0, limit_s=limit_s)


def run(quick: bool) -> list[Row]:
    """The rows of the table."""
    sys.path.insert(0, str(ROOT))
    found = latencies(60 if quick else 300)
    claim = median(found["claim"])
    rows: list[Row] = []
    for key, name in (
        ("question", "an agent's question on another node to the person's client, p50"),
        ("answer", "a person's answer to the agent's next step on another node, p50"),
    ):
        p50 = median(found[key])
        rows.append(
            {
                "name": name, "asked": f"under {MOST_MS:g} ms", "measured": p50, "baseline": claim,
                "ratio": p50 / claim, "unit": "ms", "ok": p50 < MOST_MS,
            }
        )  # fmt: skip
    count = 40 if quick else 1000
    storm = stormy(count, 300.0 if quick else 900.0)
    kills = ", ".join(f"{name} {times}" for name, times in sorted(storm.kills.items()))
    states = ", ".join(f"{state} {times}" for state, times in sorted(storm.states.items()))
    rows.append(
        {
            "name": f"{storm.asked} prompts in {storm.seconds:.0f} s, kill -9 ({kills}): {states}; answers cut short "
            f"{storm.taken}, sent again after their receipt {storm.came_back}",
            "asked": "each done once at most, none lost, none without a valid answer", "measured": len(storm.faults),
            "unit": "faults", "ok": not storm.faults,
        }
    )  # fmt: skip
    return rows


if __name__ == "__main__":
    one, two, key, id, chain, count = sys.argv[1:]
    import uvloop

    uvloop.run(talk(one, two, key, id, bytes.fromhex(chain), int(count)))
