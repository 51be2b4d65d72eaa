"""bzzz-agent: an agent that works on the mesh's tasks. Wiring alone: options, logs, phases, signals."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from functools import partial

from bzzzd.agent.agent import Agent
from bzzzd.agent.handlers.base import Handler
from bzzzd.config.faults import Fault
from bzzzd.config.load import load
from bzzzd.config.options import answered, parser
from bzzzd.config.settings import Settings, Surroundings
from bzzzd.hmmm.folders import library_folder, read_library
from bzzzd.runtime.limits import Limits, tune_gc
from bzzzd.runtime.logs import setup
from bzzzd.runtime.notify import Notifier
from bzzzd.runtime.process import Shutdown, run


def main(argv: Sequence[str] | None = None) -> int:
    """The program; gives its exit status."""
    given = options().parse_args(argv)
    status = answered("agent", given, lambda: _library_faults(given))
    return run("bzzz-agent", partial(_main, given)) if status is None else status


def options() -> argparse.ArgumentParser:
    """The parser of its options; the manual is made from it."""
    return parser("agent", "A BZZZ agent: claims tasks, works on them, and reports signed decisions.")


def _library_faults(options: argparse.Namespace) -> list[Fault]:
    settings = load("agent", options.config, socket=options.socket)
    return read_library(library_folder(settings, Surroundings.here()))[1]


async def _main(options: argparse.Namespace, shutdown: Shutdown) -> int:
    return await serve(load("agent", options.config, socket=options.socket), shutdown)


async def serve(settings: Settings, shutdown: Shutdown, *, handlers: Mapping[str, Handler] | None = None) -> int:
    """Run one agent until ``shutdown`` is requested or a part of it dies; gives the exit status.

    ``handlers`` by capability take the place of the configured ones: this is how a Python program
    becomes an agent with abilities of its own.
    """
    logs = setup(settings.config.logging, "bzzz-agent")
    notifier = Notifier()
    agent = Agent(settings, handlers=handlers)
    try:
        await agent.start()
        tune_gc(Limits.of(settings))
        notifier.ready()
        agent.manager.spawn("runner", "watchdog", notifier.watchdog(lambda: _dead(agent)), ends=True)
        await _until(shutdown, agent)
        notifier.stopping()
    finally:
        await agent.stop()
        notifier.close()
        logs.close()
    return 1 if agent.manager.failed.is_set() else 0


def _dead(agent: Agent) -> str:
    """Why the watchdog should act: only for what a restart mends. An absent bzzzd is not that."""
    return "a part has died" if agent.manager.failed.is_set() else ""


async def _until(shutdown: Shutdown, agent: Agent) -> None:
    """Wait for the wish to stop, or for the death of a part without which nothing works."""
    waits = [asyncio.create_task(wait) for wait in (_stop(shutdown), _failure(agent))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waits:
            task.cancel()


async def _stop(shutdown: Shutdown) -> None:
    await shutdown.wait()


async def _failure(agent: Agent) -> None:
    await agent.manager.failed.wait()


if __name__ == "__main__":
    sys.exit(main())
