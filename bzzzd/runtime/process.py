"""The frame of a process: loop, signals, exit status, and the last words on standard error.

Imported before the socket opens, so it imports the standard library alone; uvloop follows inside ``run``.
"""

from __future__ import annotations

import asyncio
import faulthandler
import importlib
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TextIO

from bzzzd.errors import BzzzError

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Shutdown:
    """The wish to stop: set once, by a signal or by the process itself, with the reason.

    ``main`` waits on it and then stops in order. A second signal cancels ``main``, for the impatient.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.reason = ""

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def request(self, reason: str) -> None:
        if not self._event.is_set():
            self.reason = reason
            self._event.set()

    async def wait(self) -> str:
        """Wait for the wish; gives the reason."""
        await self._event.wait()
        return self.reason


Main = Callable[[Shutdown], Awaitable[int | None]]


def run(program: str, main: Main, *, stderr: TextIO | None = None) -> int:
    """Run ``main`` on uvloop until it returns, and give the exit status of the process.

    SIGTERM, SIGINT and SIGHUP request the shutdown. An error of the tree prints ``PROGRAM: MESSAGE (CODE)`` and
    gives its exit status; anything unexpected is logged with its traceback and gives 1.
    """
    out = stderr or sys.stderr
    if not faulthandler.is_enabled():
        faulthandler.enable(file=2)  # a crash in native code, or the watchdog's SIGABRT, shows where it was
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_guarded(main)) or 0
    except BzzzError as error:
        from bzzzd.runtime.logs import last_words  # structlog is no library of the first milliseconds

        last_words(program, error, out)
        return error.exit_status
    except (KeyboardInterrupt, asyncio.CancelledError):
        print(f"{program}: stopped before it was done", file=out)
        return 1
    except Exception as error:  # the process boundary
        logging.getLogger(program).critical("unexpected error, stopping", exc_info=error)
        words = str(error) or type(error).__name__
        print(f"{program}: unexpected error: {words}; the log has the traceback (FAILED)", file=out)
        return 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    import uvloop

    return uvloop.new_event_loop


async def _guarded(main: Main) -> int | None:
    loop = asyncio.get_running_loop()
    shutdown = Shutdown()
    task = asyncio.current_task()

    def on_signal(number: signal.Signals) -> None:
        if shutdown.requested and number != signal.SIGHUP and task is not None:
            task.cancel()
        shutdown.request(f"signal {number.name}")

    loop.set_exception_handler(_lost_exception)
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await main(shutdown)
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


def _lost_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception that no task owner saw: from a callback, a protocol, or a forgotten future."""
    error = context.get("exception")
    logging.getLogger("asyncio").error("%s", context.get("message", "error on the loop"), exc_info=error)


async def warm(modules: Iterable[str]) -> float:
    """Import modules in a thread, one after the other, so that the loop keeps answering; gives the seconds taken.

    Later ``import`` statements for them are then dictionary look-ups.
    """
    names = tuple(modules)

    def load() -> float:
        began = time.perf_counter()
        for name in names:
            importlib.import_module(name)
        return time.perf_counter() - began

    return await asyncio.get_running_loop().run_in_executor(None, load)
