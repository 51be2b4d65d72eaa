"""How a log event looks on each outlet, and what never leaves the process: redaction, text, JSON, journald."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

from bzzzd.errors import StorageFailed

Render = Callable[[Mapping[str, Any]], str]

REDACTED = "[redacted]"
_SECRET_KEY = re.compile(
    r"(?:^|_)(?:seed|secrets?|passwords?|passphrase|passwd|private|api_?key|authorization|cookie|credentials?"
    r"|bearer|signing_key|invitation)(?:_|$)",
    re.IGNORECASE,
)
_READERS_ONLY = frozenset({"title", "body", "brief", "content", "payload", "plaintext", "text"})
# The agent and role of a UCXL address stand where other URLs have a user's password.
_SECRET_VALUE = re.compile(
    r"AGE-SECRET-KEY-1[0-9A-Z]+|(?<=Bearer )\S+|(?<=://)(?<!ucxl://)[^/\s:@]+:[^/\s@]+(?=@)", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PLAIN = re.compile(r"[\w.,:;/@+*^~%()\[\]<>|-]+\Z")
_FIRST = ("timestamp", "level", "event", "program", "exception", "stack")
_PRIORITY = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what looks like a secret: by the name of its key, at any depth, or by its shape in a text.

    This is the net below the rule that secrets are not logged at all. Raw bytes are shown by length alone.
    """
    for key, value in list(event.items()):
        event[key] = _clean(key, value)
    return event


def _clean(key: str, value: Any) -> Any:
    if value and _is_secret(key, value):
        return REDACTED
    if isinstance(value, str):
        return _SECRET_VALUE.sub(REDACTED, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {str(name): _clean(str(name), item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return _SECRET_VALUE.sub(REDACTED, str(value))


def _is_secret(key: str, value: Any) -> bool:
    if _SECRET_KEY.search(key):
        return value is not True
    if key.endswith("token"):  # a fencing token is two numbers and no secret; a text is one
        return isinstance(value, str)
    return key in _READERS_ONLY and not isinstance(value, int | float)


def as_json(event: Mapping[str, Any]) -> str:
    """One JSON object a line."""
    return json.dumps(event, default=str, ensure_ascii=False)


def as_text(event: Mapping[str, Any]) -> str:
    """``TIME level  words  key=value …``; a traceback follows, indented. Control characters never get out."""
    head = f"{event.get('timestamp', '')} {event.get('level', 'info'):<8} {_one_line(str(event.get('event', '')))}"
    tail = [f"{key}={_value(value)}" for key, value in event.items() if key not in _FIRST]
    lines = ["  ".join([head, *([" ".join(tail)] if tail else [])])]
    for key in ("exception", "stack"):
        if event.get(key):
            lines += [f"    {_one_line(line)}" for line in str(event[key]).splitlines()]
    return "\n".join(lines)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if _PLAIN.match(text) else json.dumps(_one_line(text), ensure_ascii=False)


def _one_line(text: str) -> str:
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


class LineSink:
    """Writes lines to a stream. When the reader is gone, events are dropped: a log must not stop its process."""

    def __init__(self, stream: TextIO, render: Render) -> None:
        self._stream = stream
        self._render = render
        self._lock = threading.Lock()

    def write(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            try:
                self._stream.write(self._render(event) + "\n")
                self._stream.flush()
            except (OSError, ValueError):  # a closed pipe: nobody reads, and there is nowhere to say so
                return

    def close(self) -> None:
        """The stream belongs to whoever opened it."""


class RotatingFile:
    """A log file, 0600, with at most ``keep`` older ones of ``max_bytes`` each beside it (``.1`` is the newest)."""

    def __init__(self, path: Path, render: Render, *, max_bytes: int = 10_000_000, keep: int = 3) -> None:
        self._path = path
        self._render = render
        self._max_bytes = max_bytes
        self._keep = keep
        self._lock = threading.Lock()
        self._complained = False
        try:
            self._open()
        except OSError as error:
            raise StorageFailed(
                f"cannot write the log file {path}: {error.strerror}; correct logging.file or its folder's rights",
                path=str(path),
            ) from error

    def _open(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._descriptor, self._size = descriptor, os.fstat(descriptor).st_size

    def write(self, event: Mapping[str, Any]) -> None:
        line = (self._render(event) + "\n").encode("utf-8", "backslashreplace")
        with self._lock:
            try:
                if self._size and self._size + len(line) > self._max_bytes:
                    self._rotate()
                self._size += os.write(self._descriptor, line)
                self._complained = False
            except OSError as error:
                if not self._complained:  # once, not a line a line: the disk may be full
                    self._complained = True
                    print(f"cannot write the log file {self._path}: {error.strerror}", file=sys.stderr)

    def _rotate(self) -> None:
        # The old one stays open until there is another: its number would be somebody else's by the next line.
        former = self._descriptor
        for number in range(self._keep, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            newer = self._path.with_name(f"{self._path.name}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        self._open()
        os.close(former)

    def close(self) -> None:
        os.close(self._descriptor)


_JOURNAL_FIELDS = {
    "task_id": "TASK_ID",
    "task": "TASK_ID",
    "agent_id": "AGENT_ID",
    "agent": "AGENT_ID",
    "peer_id": "PEER_ID",
    "error_code": "ERROR_CODE",
    "code": "ERROR_CODE",
}


class JournalSink:
    """Sends events to journald with native fields, so that ``journalctl TASK_ID=…`` finds a task's whole way."""

    def __init__(self, program: str, socket_path: Path | None = None) -> None:
        from logging_journald import JournaldTransport  # type: ignore[import-untyped]

        self._program = program
        self._lock = threading.Lock()
        self._transport = JournaldTransport(socket_path, connected=False)

    def write(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            try:
                self._transport.send(self._fields(event))
            except (OSError, ValueError):  # journald is being restarted, or it is no text: standard error has it
                print(as_text(event), file=sys.stderr)

    def _fields(self, event: Mapping[str, Any]) -> list[tuple[str, Any]]:
        tail = " ".join(f"{key}={_value(value)}" for key, value in event.items() if key not in _FIRST)
        message = "  ".join(part for part in (_one_line(str(event.get("event", ""))), tail) if part)
        if event.get("exception"):
            message = f"{message}\n{event['exception']}"
        fields: dict[str, Any] = {
            "MESSAGE": message,
            "PRIORITY": _PRIORITY.get(str(event.get("level")), 6),
            "SYSLOG_IDENTIFIER": self._program,
        }
        for key, value in event.items():
            if key not in _FIRST and value is not None:
                name = _JOURNAL_FIELDS.get(key) or "BZZZ_" + re.sub(r"[^A-Z0-9_]", "_", key.upper())
                fields.setdefault(
                    name, value if isinstance(value, str | int | float) else json.dumps(value, default=str)
                )
        return list(fields.items())

    def close(self) -> None:
        self._transport.socket.close()
