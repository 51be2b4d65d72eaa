"""An agent's runner and session in a test's process, with handlers that do what the test says."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from bzzzd.agent.counters import Counters
from bzzzd.agent.daemon_link import DaemonLink
from bzzzd.agent.handlers.base import Handler, Job, Product
from bzzzd.agent.handlers.registry import Handlers
from bzzzd.agent.people.approval import Approvals
from bzzzd.agent.runner import Runner
from bzzzd.agent.signer import Signer
from bzzzd.crypto.keys import SigningKey
from bzzzd.hmmm.library import Library
from tests.agent.daemon import Daemon, Held

Run = Callable[[Job], Awaitable[Product]]


class Scripted:
    """A handler that does what the test says."""

    general = True
    act = "external"

    def __init__(self, run: Run) -> None:
        self._run = run
        self.unusable = ""
        self.jobs: list[Job] = []
        self.cancelled = 0

    def action(self, job: Job) -> dict[str, Any]:
        return dict(job.brief.args)

    async def run(self, job: Job) -> Product:
        self.jobs.append(job)
        try:
            return await self._run(job)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Rig:
    """An agent's runner and session in this process, without the rest of the agent."""

    def __init__(self, daemon: Daemon, handler: Handler, *, slots: int, finish_s: float = 0.2) -> None:
        self.daemon = daemon
        self.behind_s = 0.0  # how far the agent's wall clock was set back
        self.counters = Counters()
        self.dead: list[BaseException] = []
        self._background: list[asyncio.Task[None]] = []
        self.signer = Signer(SigningKey.generate(), "a1", "worker", wall=self.wall)
        self.link = DaemonLink(str(daemon.path), self.signer, background=self._spawn)
        handlers = Handlers({"empty": handler})
        self.runner = Runner(
            self.link, self.signer, handlers, self.counters, slots=slots, finish_s=finish_s, background=self._spawn,
            wall=self.wall, people=Approvals(self.link, self.signer, Library(), time.time),
        )  # fmt: skip
        self.link.serve(handlers.capabilities, self.runner.slots, self.runner.offered)

    def wall(self) -> float:
        return time.time() - self.behind_s

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._background.append(task)
        return task

    async def start(self) -> None:
        await self.link.start()
        await self.runner.start()
        await self.attached()

    async def attached(self) -> None:
        await self.link.ready(10)
        async with asyncio.timeout(30):
            while not self.daemon.offers._waiting:  # noqa: ASYNC110 - until the offers are being read
                await asyncio.sleep(0.005)

    async def stop(self) -> None:
        for service in (self.runner, self.link):
            await service.stop()
        for task in self._background:
            if task.done() and not task.cancelled():
                assert task.exception() is None
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)


Make = Callable[..., Awaitable[Rig]]


def gives(product: Product | Exception) -> Scripted:
    async def run(job: Job) -> Product:
        if isinstance(product, Exception):
            raise product
        return product

    return Scripted(run)


async def ended(daemon: Daemon, *tasks: Held) -> None:
    await daemon.until(lambda: all(task.state in ("completed", "failed", "submitted") and task.log for task in tasks))
