"""Logging for a whole process: structlog and the standard library's loggers into one stream of redacted events.

Modules write with ``structlog.get_logger()``; a door calls ``setup`` once. Where events go:

- journald, with native fields, when systemd connected standard error to it (``JOURNAL_STREAM`` names it);
- otherwise standard error, as text or JSON lines;
- and a file as well, if the configuration names one, of bounded size.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections import deque
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, Protocol, TextIO

import structlog

from bzzzd.errors import BzzzError
from bzzzd.runtime.log_render import JournalSink, LineSink, RotatingFile, as_json, as_text, redact

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
QUIET = ("aiohttp.access", "asyncio", "libp2p", "trio", "multiaddr", "urllib3", "zeroconf")
RECENT_LINES = 2000


class Sink(Protocol):
    """Where finished events go. ``write`` may be called from any thread and does not raise."""

    def write(self, event: Mapping[str, Any]) -> None: ...
    def close(self) -> None: ...


class Settings(Protocol):
    """The part of the ``logging`` section that is used here."""

    @property
    def level(self) -> str: ...
    @property
    def format(self) -> str: ...
    @property
    def file(self) -> str: ...


class Logs:
    """The set-up logging of a process: its sinks, and its last lines in memory for ``bzzz logs``."""

    def __init__(self, sinks: list[Sink], handler: logging.Handler) -> None:
        self._sinks = sinks
        self._handler = handler
        self._recent: deque[tuple[int, str]] = deque(maxlen=RECENT_LINES)
        self._numbers = itertools.count(1)

    def emit(self, event: Mapping[str, Any]) -> None:
        self._recent.append((next(self._numbers), as_text(event)))
        for sink in self._sinks:
            sink.write(event)

    def tail(self, lines: int = 100) -> list[str]:
        """The last ``lines`` events as text, oldest first."""
        return self.since(lines, 0)[0]

    def since(self, lines: int, after: int) -> tuple[list[str], int]:
        """As ``tail``, but only events with numbers over ``after``; and the newest one's number.

        A number from before a restart, which is over the newest, counts as none.
        """
        recent = list(self._recent)
        newest = recent[-1][0] if recent else 0
        found = [text for number, text in recent if number > after or after > newest]
        return found[-lines:] if lines > 0 else [], newest

    def close(self) -> None:
        """Detach from the standard library's loggers and close the sinks."""
        logging.getLogger().removeHandler(self._handler)
        structlog.reset_defaults()
        for sink in self._sinks:
            sink.close()


def setup(
    settings: Settings, program: str, *, environ: Mapping[str, str] = os.environ, stream: TextIO | None = None
) -> Logs:
    """Set up logging for this process and give the handle that closes it.

    Raises ``StorageFailed`` when the configured file cannot be opened.
    """
    out = stream or sys.stderr
    sinks: list[Sink] = []
    if settings.format == "auto" and journald_reads(out, environ):
        sinks.append(JournalSink(program))
    else:
        sinks.append(LineSink(out, as_json if settings.format == "json" else as_text))
    if settings.file:
        sinks.append(RotatingFile(Path(settings.file), as_json if settings.format == "json" else as_text))
    level = LEVELS[settings.level]
    handler = _Bridge(level)
    logs = Logs(sinks, handler)
    handler.logs = logs
    _configure_structlog(logs, program, level)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    for name in QUIET:  # chatty libraries: what they call information is debugging to us
        logging.getLogger(name).setLevel(max(level, logging.WARNING) if level > logging.DEBUG else level)
    return logs


def report(event: str, fields: dict[str, Any]) -> None:
    """A ``services.Report``: what happens to services, with fields that journald can filter by."""
    level = "error" if any(word in event for word in ("died", "failed", "did not")) else "info"
    getattr(structlog.get_logger(), level)(event, **fields)


def last_words(program: str, error: BzzzError, out: TextIO) -> None:
    """Why a process ends: ``PROGRAM: MESSAGE (CODE)``, in journald with the code as a field of its own.

    It needs no ``setup``: a configuration that cannot be read is told this way as well.
    """
    text = f"{program}: {error.message} ({error.code})"
    if not journald_reads(out, os.environ):
        print(text, file=out)
        return
    sink = JournalSink(program)
    for line in text.splitlines():
        sink.write({"event": line, "level": "error", "error_code": error.code})
    sink.close()


def journald_reads(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether ``JOURNAL_STREAM`` (device:inode) is the file behind ``stream``."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    if not (device.isdigit() and inode.isdigit()):
        return False
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (status.st_dev, status.st_ino) == (int(device), int(inode))


def _configure_structlog(logs: Logs, program: str, level: int) -> None:
    def deliver(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        logs.emit(event)
        raise structlog.DropEvent  # delivered; structlog has nothing left to print

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _stamp(program),
            name_the_code,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            redact,
            deliver,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


def name_the_code(_logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write an error that is given as a value, or as ``exc_info``, as its message, and add its ``error_code``.

    So whoever logs an error passes it on as it is. An error that is not of the tree has the code ``FAILED``.
    """
    given = event.get("exc_info")
    found = [sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given]
    for key, value in list(event.items()):
        if isinstance(value, BaseException) and key != "exc_info":
            event[key] = value.message if isinstance(value, BzzzError) else str(value) or type(value).__name__
            found.append(value)
    for error in found:
        if isinstance(error, BzzzError):
            event.setdefault("error_code", error.code)
        elif isinstance(error, Exception) and method in ("error", "exception", "critical"):
            event.setdefault("error_code", BzzzError.code)
    return event


def _stamp(program: str) -> structlog.typing.Processor:
    time_stamper = structlog.processors.TimeStamper(fmt="iso", utc=True)

    def stamp(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["program"] = program
        return time_stamper(logger, method, event)

    return stamp


class _Bridge(logging.Handler):
    """Carries what libraries log with the standard library into structlog's processors."""

    logs: Logs

    def emit(self, record: logging.LogRecord) -> None:
        try:
            name = record.levelname.lower() if record.levelname.lower() in LEVELS else "info"
            log = structlog.get_logger()
            fields: dict[str, Any] = {"logger": record.name}
            if record.exc_info:
                fields["exc_info"] = record.exc_info
            getattr(log, name)(record.getMessage(), **fields)
        except Exception:  # a logging boundary: a bad format string must not stop a caller
            self.handleError(record)
