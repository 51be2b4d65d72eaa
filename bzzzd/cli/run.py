"""One run of a command: its arguments, its streams, and its way to bzzzd."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from bzzzd.cli.connect import socket_path
from bzzzd.cli.table import Command

if TYPE_CHECKING:
    from bzzzd.rpc.blocking import BlockingClient

CALL_TIMEOUT_S = 30.0


class Run:
    """What a command's function gets. The client is connected at its first use and closed at the end."""

    def __init__(
        self,
        command: Command,
        args: Mapping[str, Any],
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        read: Callable[[], bytes] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.command = command
        self.args = args
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self.environ: Mapping[str, str] = os.environ if environ is None else environ
        self._read = read or _standard_input
        self._client: BlockingClient | None = None

    @property
    def json(self) -> bool:
        return bool(self.args.get("json"))

    @property
    def timeout(self) -> float:
        """Seconds that one answer may take."""
        in_all = self.command.follows or self.args.get("wait")
        return CALL_TIMEOUT_S if in_all else float(self.args.get("timeout") or CALL_TIMEOUT_S)

    @property
    def socket(self) -> str:
        return socket_path(self.args.get("socket"), self.environ)

    @property
    def client(self) -> BlockingClient:
        if self._client is None:
            from bzzzd.rpc.blocking import BlockingClient

            self._client = BlockingClient(self.socket, timeout=self.timeout)
        return self._client

    def call(self, method: str, params: Mapping[str, Any] | None = None, *, effects: bool = False) -> Any:
        """Ask as who the connection is by now, at first a guest. ``effects``: it changes something."""
        return self.client.call(method, params, effects=effects)

    def read(self) -> bytes:
        """Standard input to its end."""
        return self._read()

    def text(self, name: str) -> bytes:
        """The argument ``name`` as bytes; ``-`` and, where nothing was given, standard input."""
        value = self.args.get(name)
        return self.read() if value in (None, "-") else str(value).encode("utf-8", "surrogateescape")

    def say(self, text: str) -> None:
        """A line for the person, outside of the result."""
        print(text, file=self.err)

    def agreed(self, question: str) -> bool:
        """Whether the person at the terminal says yes; without a terminal nobody does."""
        if not sys.stdin.isatty():
            return False
        print(f"{question} [y/N] ", end="", file=self.err, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def print(self, text: str = "") -> None:
        print(text, file=self.out)

    def bytes_out(self) -> BinaryIO:
        """Standard output for bytes, after what was printed."""
        self.out.flush()
        return self.out.buffer if hasattr(self.out, "buffer") else sys.stdout.buffer

    def answer(self, value: Any, show: Callable[[], None]) -> None:
        """Print an answer: as JSON where that was asked for, else by ``show``."""
        if self.json:
            from bzzzd.cli.output import to_json

            self.print(to_json(value))
        else:
            show()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _standard_input() -> bytes:
    return sys.stdin.buffer.read()
