"""bzzzd: the daemon. Wiring alone: options, the socket that opens first, then the five phases."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from bzzzd.config.load import load
from bzzzd.config.options import answered, parser
from bzzzd.daemon.door import Door
from bzzzd.runtime.phases import Phase
from bzzzd.runtime.process import Shutdown, run, warm
from bzzzd.runtime.restart import Restart

if TYPE_CHECKING:
    from bzzzd.runtime.logs import Logs

# What the later phases are made of: loaded in a thread, while the loop answers.
_IMPORTS = ("bzzzd.runtime.logs", "bzzzd.daemon.node")


def main(argv: Sequence[str] | None = None) -> int:
    """The program; gives its exit status."""
    given = options().parse_args(argv)
    status = answered("daemon", given)
    if status is not None:
        return status
    again: list[Restart] = []
    status = run("bzzzd", partial(_serve, given, again))
    if again:
        again[0].now()
    return status


def options() -> argparse.ArgumentParser:
    """The parser of its options; the manual is made from it."""
    return parser("daemon", "The BZZZ daemon: owns this machine's keys, the mesh and the task ledger.")


async def _serve(options: argparse.Namespace, again: list[Restart], shutdown: Shutdown) -> int:
    """Serve until the wish to stop; ``again`` gets the restart that was asked for instead."""
    started = time.time()
    settings = load("daemon", options.config, socket=options.socket)
    door = Door(settings)
    manager = door.manager
    logs: Logs | None = None
    try:
        await manager.start_phase(Phase.CONFIGURATION)
        await warm(_IMPORTS)
        from bzzzd.daemon.node import Node
        from bzzzd.runtime.logs import report, setup

        logs = setup(settings.config.logging, "bzzzd")
        door.tell = report
        if not settings.found:
            logging.getLogger("bzzzd").info("%s is missing, so the defaults are in force", settings.path)
        await Node(settings, door, logs, started).start()
        await _until(shutdown, door)
    finally:
        await manager.stop()
        if logs is not None:
            logs.close()
    if manager.failed.is_set():
        return 1
    if door.restart.wanted and not shutdown.requested:
        again.append(door.restart)
    return 0


async def _until(shutdown: Shutdown, door: Door) -> None:
    """Wait for the wish to stop or to start again, or for the death of a part without which nothing works."""
    failed = asyncio.create_task(door.manager.failed.wait(), name="failure")
    stop = asyncio.create_task(shutdown.wait(), name="shutdown")
    restart = asyncio.create_task(door.restart.wait(), name="restart")
    try:
        await asyncio.wait((failed, stop, restart), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (failed, stop, restart):
            task.cancel()


if __name__ == "__main__":
    sys.exit(main())
