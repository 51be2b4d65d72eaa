import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bzzzd.errors import ConfigInvalid, Unreachable
from bzzzd.runtime import process
from bzzzd.runtime.process import Shutdown, run, warm

WAITS = """
import asyncio, sys
from bzzzd.runtime.process import run

async def main(shutdown):
    print("up", flush=True)
    print(await shutdown.wait(), flush=True)
    if "stubborn" in sys.argv:
        await asyncio.Event().wait()

sys.exit(run("bzzzd", main))
"""


def _start(*arguments: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WAITS, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_asks_for_the_shutdown_and_the_exit_is_clean(number: signal.Signals) -> None:
    child = _start()
    child.send_signal(number)
    out, err = child.communicate(timeout=10)
    assert (child.returncode, out, err) == (0, f"signal {number.name}\n", "")


def test_a_second_signal_ends_a_stop_that_hangs() -> None:
    child = _start("stubborn")
    child.send_signal(signal.SIGTERM)
    assert child.stdout is not None
    assert child.stdout.readline() == "signal SIGTERM\n"
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=10)
    assert (child.returncode, err) == (1, "bzzzd: stopped before it was done\n")


def test_the_status_that_main_gives_is_the_exit_status() -> None:
    async def main(_shutdown: Shutdown) -> int | None:
        return 4

    assert run("bzzzd", main) == 4


def test_main_runs_on_uvloop() -> None:
    async def main(_shutdown: Shutdown) -> int | None:
        return 0 if type(asyncio.get_running_loop()).__module__.startswith("uvloop") else 1

    assert run("bzzzd", main) == 0


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ConfigInvalid("bzzzd.yaml: unknown key"), 2, "bzzzd: bzzzd.yaml: unknown key (CONFIG_INVALID)\n"),
        (Unreachable("bzzzd does not answer"), 5, "bzzzd: bzzzd does not answer (UNREACHABLE)\n"),
        (ZeroDivisionError("by zero"), 1, "bzzzd: unexpected error: by zero; the log has the traceback (FAILED)\n"),
    ],
)
def test_an_error_is_one_line_with_its_code_and_exit_status(error: Exception, status: int, words: str) -> None:
    out = io.StringIO()

    async def main(_shutdown: Shutdown) -> int | None:
        raise error

    assert run("bzzzd", main, stderr=out) == status
    assert out.getvalue() == words


def test_an_exception_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main(_shutdown: Shutdown) -> int | None:
        asyncio.get_running_loop().call_soon(lambda: {}["lost"])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return 0

    assert run("bzzzd", main) == 0
    assert "KeyError: 'lost'" in caplog.text


def test_a_request_is_kept_with_its_first_reason() -> None:
    async def main(shutdown: Shutdown) -> int | None:
        shutdown.request("health failed")
        shutdown.request("signal SIGTERM")
        assert shutdown.requested
        assert await shutdown.wait() == "health failed"
        return 0

    assert run("bzzzd", main) == 0


async def test_modules_are_warmed_in_another_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "warmed_example.py").write_text("import threading\nthread = threading.current_thread()\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert await warm(["warmed_example"]) > 0
    assert sys.modules["warmed_example"].thread is not threading.current_thread()
    del sys.modules["warmed_example"]


def test_the_frame_itself_imports_nothing_heavy() -> None:
    code = (
        "import sys, bzzzd.runtime.process, bzzzd.runtime.services, bzzzd.runtime.notify, bzzzd.runtime.locks\n"
        "import bzzzd.runtime.metrics, bzzzd.runtime.health_http, bzzzd.runtime.limits, bzzzd.runtime.breaker\n"
        "print([name for name in ('structlog', 'aiohttp', 'prometheus_client', 'cryptography', 'msgspec', 'yaml',"
        " 'libp2p', 'trio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout == "[]\n"
    assert process.STOP_SIGNALS
