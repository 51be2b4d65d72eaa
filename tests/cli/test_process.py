"""``bzzz`` as a process: exit statuses, pipes that close, Ctrl-C, and what the fast path may import."""

import os
import signal
import subprocess
import sys

import pytest

BZZZ = [sys.executable, "-m", "bzzzd.cli.main"]

HEAVY = (
    "aiohttp", "argparse", "asyncio", "cryptography", "dataclasses", "inspect", "json", "libp2p", "logging", "msgspec",
    "prometheus_client", "pyrage", "structlog", "trio", "uvloop", "yaml",
)  # fmt: skip


def run(*argv: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([*BZZZ, *argv], capture_output=True, text=True, timeout=30, check=False, **options)


def imported(*argv: str) -> set[str]:
    """Names of modules that a run imports."""
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bzzzd.cli.main", *argv],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    lines = (line.rpartition("|")[2].strip() for line in found.stderr.splitlines() if line.startswith("import time:"))
    return {line.partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    ("argv", "status", "out", "err"),
    [
        (["--help"], 0, "usage: bzzz", ""),
        (["task", "--help"], 0, "task submit", ""),
        (["task", "submit", "--help"], 0, "--approve", ""),
        (["--version"], 0, "bzzz ", ""),
        ([], 2, "", "no command was given"),
        (["nonsense"], 2, "", "(BAD_INPUT)"),
        (["task", "list", "--limit", "many"], 2, "", "'many' is no whole number"),
        (["ucxl", "parse", "ucxl://a:b@c:d/*^"], 0, '"canonical": "ucxl://a:b@c:d/*^/"', ""),
        (["ucxl", "parse", "x"], 2, "", "at position 0"),
        (["config", "check", "/nonexistent"], 2, "there is no such file", "1 fault in 1 file"),
        (["status"], 5, "", "bzzzd is not running: there is no socket at"),
        (["task", "list"], 5, "", "(UNREACHABLE)"),
    ],
)
def test_exit_status_and_streams(place, argv, status, out, err):
    found = run(*argv)
    assert found.returncode == status
    assert out in found.stdout
    assert err in found.stderr
    assert bool(found.stderr) == bool(err)


@pytest.mark.parametrize("argv", [["--help"], ["status"], ["status", "--json"], ["peers"], ["mesh", "--help"]])
def test_the_fast_path_imports_nothing_heavy(node, argv):
    allowed = {"json"} if "--json" in argv else set()
    # logging comes with nothing of ours; it would be a sign that something large was pulled in.
    assert imported(*argv) & set(HEAVY) - allowed == set()


def test_the_status_of_a_real_node_comes_through_a_process(node):
    found = run("status", "--socket", str(node.path), env={"PATH": os.environ["PATH"]})
    assert (found.returncode, found.stderr) == (0, "")
    assert "mesh-of-the-tests" in found.stdout


def test_a_reader_that_leaves_ends_the_command_quietly(node):
    node.answers["logs.tail"] = {"lines": ["x" * 1000] * 1000}
    with subprocess.Popen([*BZZZ, "logs"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


def test_ctrl_c_ends_a_subscription_quietly(node):
    with subprocess.Popen([*BZZZ, "subscribe", "alerts"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == b"listening to alerts\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.wait(30) == 130
