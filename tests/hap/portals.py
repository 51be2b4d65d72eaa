"""The portal as a process: in a terminal of its own (a pty with a pyte screen behind it), or on pipes."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pyte

from bzzzd.hap.files.state import StateFolder, seen_of

from .builders import online
from .desk import until

# Other screen, pasted text in brackets, wrapping, cursor, mouse, direction.
_GIVEN_BACK = rb"\x1b\[\?1049l|\x1b\[\?2004l|\x1b\[\?7h|\x1b\[\?25h|\x1b\[\?1000l|\x1b\[8h"
_LRM = "\u200e".encode()  # pyte leaves out what stands behind it in the same piece; terminals do not
PROGRAM = (sys.executable, "-m", "bzzzd.hap.main")


class Home:
    """A person's home for one test: configuration, state, and the place of the socket."""

    def __init__(self, folder: Path, **sections: dict[str, Any]) -> None:
        self.folder = folder
        self.socket = folder / "bzzzd.sock"
        self.state = folder / "state"
        self.config = folder / "hap.yaml"
        whole = {
            "binary_type": "hap", "agent": {"id": "lena"}, "ai": {}, "network": {"socket": str(self.socket)},
            "security": {}, "storage": {"state_dir": str(self.state)}, **sections,
        }  # fmt: skip
        self.config.write_text(json.dumps(whole))  # JSON is YAML

    def environ(self, **more: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "PYTHONPATH") if name in os.environ}
        return {**kept, "HOME": str(self.folder), "TERM": "xterm-256color", **more}

    def remember(self) -> None:
        """Leave the cache of an earlier portal."""
        model = online()
        seen = seen_of(model)
        StateFolder(self.state).save_seen(
            type(seen)(**{name: getattr(seen, name) for name in seen.__struct_fields__} | {"socket": str(self.socket)})
        )


class Terminal:
    """A portal in a window; ``lines`` is what a person sees."""

    def __init__(self, home: Home, width: int = 80, height: int = 24, **environ: str) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(width, height)
        self.before = termios.tcgetattr(self.slave)
        self.raw = b""
        self.reading = True
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self.process = subprocess.Popen(
            [*PROGRAM, "--config", str(home.config)], stdin=self.slave, stdout=self.slave, stderr=subprocess.PIPE,
            env=home.environ(**environ), start_new_session=True,
        )  # fmt: skip
        os.set_blocking(self.master, False)
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return
        self.raw = (self.raw + data)[-2_000_000:]
        self._stream.feed(data.replace(_LRM, b""))

    def pause(self) -> None:
        """Take nothing from the portal, as a line that has stalled."""
        asyncio.get_running_loop().remove_reader(self.master)

    def go_on(self) -> None:
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        if hasattr(self, "process"):
            self._screen.resize(height, width)
            self.process.send_signal(signal.SIGWINCH)

    def type(self, data: bytes | str) -> None:
        os.write(self.master, data.encode() if isinstance(data, str) else data)

    async def paste(self, data: bytes) -> None:
        """Feed much, as fast as it is taken."""
        while data:
            try:
                data = data[os.write(self.master, data[:4096]) :]
            except BlockingIOError:
                await asyncio.sleep(0.001)

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def shows(self, pattern: str, limit: float = 30.0) -> None:
        """Wait until the window shows it."""
        try:
            await until(lambda: re.search(pattern, self.text), limit)
        except TimeoutError:
            raise AssertionError(f"never saw {pattern!r} in:\n{self.text}") from None

    async def walk(self, *steps: tuple[str, str]) -> None:
        """Type each text, and wait until the window shows what it leads to."""
        for typed, pattern in steps:
            self.type(typed)
            await self.shows(pattern)

    async def ends(self, limit: float = 30.0) -> int:
        """Wait for the process's end; gives its exit status."""
        await until(lambda: self.process.poll() is not None, limit)
        self._read()
        return self.process.returncode

    async def is_restored(self) -> None:
        """Wait until the terminal is as it was found; its last bytes may still be on their way."""
        await until(lambda: self._restored)

    @property
    def _restored(self) -> bool:
        """Its modes, its screen, its cursor."""
        left = re.findall(_GIVEN_BACK, self.raw[-200:])
        return termios.tcgetattr(self.slave) == self.before and len(set(left)) == 6

    def memory_kb(self) -> int:
        found = re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1])

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.master)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()
        os.close(self.master)
        os.close(self.slave)


async def piped(
    home: Home, *options: str, lines: str = "", limit: float = 60.0, **environ: str
) -> tuple[int, str, str]:
    """Run the portal on pipes with these lines in; gives its exit status, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--config", str(home.config), *options, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=home.environ(**environ),
    )  # fmt: skip
    try:
        async with asyncio.timeout(limit):
            out, errors = await process.communicate(lines.encode())
    except TimeoutError:
        process.kill()
        await process.communicate()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode(), errors.decode()
