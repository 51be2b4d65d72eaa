import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bzzzd.agent.bwrap import Fence, Limits, program_paths
from bzzzd.agent.lease import Lease, boottime
from bzzzd.agent.sandbox import Report, Sandbox, _feed
from bzzzd.errors import BadInput, SandboxUnavailable
from tests.loops import OurLoop

SMALL = Limits(timeout_s=20.0, memory_mb=128, output_bytes=65536, processes=24)


@pytest.fixture
async def sandbox() -> Sandbox:
    return await Sandbox.probe()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach: programs of an agent run by root run as nobody."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


async def python(sandbox: Sandbox, source: str, *, limits: Limits = SMALL, lease_s: float = 60.0) -> Report:
    return await sandbox.run(
        ["python3", "-c", textwrap.dedent(source)], lease=Lease(boottime(), lease_s), limits=limits
    )


async def shell(sandbox: Sandbox, line: str, **more: object) -> Report:
    return await sandbox.run(["sh", "-c", line], lease=Lease(boottime(), 60.0), limits=SMALL, **more)  # type: ignore[arg-type]


def alive_with(mark: str) -> list[int]:
    """Processes of this machine whose command line holds ``mark``."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


async def until(condition: Callable[[], bool], limit: float = 10.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - other processes set no event
            await asyncio.sleep(0.02)


async def test_a_program_runs_with_its_input_output_and_exit_status(sandbox: Sandbox) -> None:
    report = await shell(sandbox, "cat; echo wrong >&2; exit 7", stdin=b"hello")
    assert (report.why, report.exit, report.stdout, report.stderr) == ("exit", 7, b"hello", b"wrong\n")
    assert not report.truncated


async def test_a_program_that_is_not_there_says_so(sandbox: Sandbox) -> None:
    report = await sandbox.run(["no-such-program"], lease=Lease(boottime(), 30.0))
    assert report.exit == 127
    assert b"No such file" in report.stderr


async def test_a_signal_shows_as_128_and_its_number(sandbox: Sandbox) -> None:
    assert (await shell(sandbox, "kill -KILL $$")).exit == 128 + signal.SIGKILL


async def test_the_network_is_out_of_reach(sandbox: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        report = await python(
            sandbox,
            f"""
            import socket
            try:
                socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 2)
            except OSError as error:
                print("no way", error)
            try:
                socket.create_connection(("192.0.2.1", 80), 2)
            except OSError as error:
                print("no way", error)
            print([name for _, name in socket.if_nameindex()])
            """,
        )
    assert report.stdout.count(b"no way") == 2, report
    assert b"['lo']" in report.stdout


async def test_abstract_sockets_of_the_machine_are_out_of_reach(sandbox: Sandbox) -> None:
    name = f"bzzz-test-{secrets.token_hex(4)}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        report = await python(
            sandbox,
            f"""
            import socket
            try:
                socket.socket(socket.AF_UNIX).connect("\\0{name}")
            except ConnectionRefusedError:
                print("refused")
            """,
        )
    assert report.stdout == b"refused\n", report


async def test_nothing_outside_can_be_read_or_written(sandbox: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "agent.key"
    secret.write_text("secret seed")
    report = await python(
        sandbox,
        f"""
        from pathlib import Path
        for text in ("/etc/shadow", "/root", "/home", "/var", "/sys", {str(secret)!r}, {str(tmp_path)!r}):
            path = Path(text)
            try:
                print("READ", text, list(path.iterdir()) if path.is_dir() else path.read_text())
            except OSError:
                pass
        for text in ("/x", "/usr/x", "/etc/x", "/run/x", "/dev/x", "/run/bzzz/init.py", "/etc/passwd"):
            try:
                Path(text).write_text("x")
                print("WROTE", text)
            except OSError:
                pass
        Path("/task/mine").write_text("x"); Path("/tmp/mine").write_text("x")
        print("done")
        """,
    )
    assert report.stdout == b"done\n", report
    assert secret.read_text() == "secret seed"


async def test_two_runs_share_nothing(sandbox: Sandbox) -> None:
    await shell(sandbox, "echo x > /task/left; echo x > /tmp/left")
    assert (await shell(sandbox, "ls /dev/shm /task /tmp")).stdout == b"/dev/shm:\n\n/task:\n\n/tmp:\n"


async def test_no_other_process_is_visible_and_the_first_one_is_closed(sandbox: Sandbox) -> None:
    report = await python(
        sandbox,
        """
        import os
        print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()) == [1, os.getpid()])
        print(sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:3])
        for path in ("/proc/1/mem", "/proc/1/fd", "/proc/1/environ"):
            try:
                os.listdir(path) if path.endswith("fd") else os.open(path, os.O_RDWR)
                print("OPENED", path)
            except OSError:
                pass
        for number in (9, 19, 15):
            try:
                os.kill(1, number)
            except OSError:
                pass
        print("here")
        """,
    )
    assert report.stdout == b"True\n[0, 1, 2]\nhere\n", report


async def test_the_environment_is_empty_but_for_a_few_names(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BZZZ_TEST_SECRET", "hidden")
    report = await python(sandbox, "import os; print(sorted(os.environ))")
    assert b"SECRET" not in report.stdout
    assert b"PATH" in report.stdout


async def test_no_capability_and_no_user_namespace_can_be_had(sandbox: Sandbox) -> None:
    report = await shell(
        sandbox,
        "grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; unshare --user true && echo NESTED; "
        "unshare --mount true && echo MOUNTED; true",
    )
    lines = dict(line.split(":\t") for line in report.stdout.decode().splitlines())
    assert lines == {
        "CapEff": "0000000000000000",
        "CapBnd": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
    }


async def test_seccomp_alone_denies_user_namespaces_too(sandbox: Sandbox) -> None:
    """Where /proc/sys is read-only, ``--disable-userns`` cannot work and the filter stands alone."""
    fence = Fence(sandbox.fence.bwrap, sandbox.fence.python, disable_userns=False, seccomp=sandbox.fence.seccomp)
    filtered = Sandbox(fence)
    assert str(fence) == "seccomp"
    assert (await filtered._check())[0]
    report = await shell(filtered, "unshare --user true; echo $?; echo fine | cat")
    assert report.stdout == b"1\nfine\n"
    assert b"Operation not permitted" in report.stderr


async def test_a_sandbox_that_lets_namespaces_through_is_not_used(sandbox: Sandbox) -> None:
    works, said = await Sandbox(Fence(sandbox.fence.bwrap, sandbox.fence.python, False, None))._check()
    assert not works
    assert "user namespace" in said


async def test_a_fork_bomb_is_bounded(sandbox: Sandbox) -> None:
    report = await python(
        sandbox,
        """
        import os, time
        count = 0
        while True:
            try:
                if os.fork() == 0:
                    time.sleep(30)
                    os._exit(0)
                count += 1
            except OSError:
                print(count)
                break
        """,
    )
    assert report.why == "exit"
    assert 0 < int(report.stdout) < SMALL.processes


async def test_memory_of_one_process_and_of_all_together_is_bounded(sandbox: Sandbox) -> None:
    alone = await python(sandbox, "x = b'x' * (512 << 20)")
    assert b"MemoryError" in alone.stderr
    together = await python(
        sandbox,
        """
        import os, time
        for _ in range(4):
            if os.fork() == 0:
                x = os.urandom(1 << 20) * 60
                time.sleep(30)
        time.sleep(30)
        """,
    )
    assert together.why == "memory"
    folder = await shell(sandbox, "head -c 100M /dev/zero > /task/a; head -c 100M /dev/zero > /tmp/b; sleep 30")
    assert folder.why == "memory"


def test_a_program_that_has_ended_before_it_is_given_its_input_is_no_fault() -> None:
    """On the loop that the agent runs on: it closes the pipe by itself when the other end has gone."""

    async def late() -> None:
        process = await asyncio.create_subprocess_exec("true", stdin=asyncio.subprocess.PIPE)
        assert process.stdin is not None
        stream = process.stdin
        await process.wait()
        await until(stream.is_closing)
        for data in (b"", b"too late"):
            await _feed(stream, data)

    with asyncio.Runner(loop_factory=OurLoop) as runner:
        runner.run(late())


async def test_an_output_flood_is_truncated_and_ended(sandbox: Sandbox) -> None:
    report = await shell(sandbox, "yes")
    assert report.why == "output"
    assert report.truncated
    assert len(report.stdout) == SMALL.output_bytes


async def test_a_little_too_much_output_is_kept_in_part_and_the_program_ends_by_itself(sandbox: Sandbox) -> None:
    report = await shell(sandbox, "head -c 200000 /dev/zero; head -c 10 /dev/zero >&2; exit 3")
    assert (report.why, report.exit, report.truncated) == ("exit", 3, True)
    assert (len(report.stdout), len(report.stderr)) == (SMALL.output_bytes, 10)


async def test_the_time_limit_ends_the_program_and_all_its_children(sandbox: Sandbox) -> None:
    mark = f"mark{secrets.token_hex(6)}"
    line = f"(setsid sh -c 'sleep 60; : {mark}' &) ; sleep 60; : {mark}"
    report = await sandbox.run(["sh", "-c", line], lease=Lease(boottime(), 60.0), limits=Limits(timeout_s=0.5))
    assert (report.why, report.exit) == ("timeout", None)
    assert report.seconds < 30
    await until(lambda: not alive_with(mark))


async def test_what_the_program_leaves_behind_ends_with_it(sandbox: Sandbox) -> None:
    mark = f"mark{secrets.token_hex(6)}"
    report = await shell(sandbox, f"(setsid sh -c 'sleep 60; : {mark}' >/dev/null 2>&1 &) ; echo ok")
    assert (report.why, report.stdout) == ("exit", b"ok\n")
    await until(lambda: not alive_with(mark))


async def test_the_leases_end_ends_the_program_unless_it_is_extended(sandbox: Sandbox) -> None:
    report = await python(sandbox, "import time; time.sleep(30)", lease_s=1.0)
    assert report.why == "lease"
    lease = Lease(boottime(), 1.0)
    running = asyncio.create_task(sandbox.run(["sh", "-c", "sleep 1.5; echo whole"], lease=lease, limits=SMALL))
    lease.extend(boottime(), 30.0)
    assert (await running).stdout == b"whole\n"


async def test_cancelling_ends_everything_before_it_returns(sandbox: Sandbox) -> None:
    mark = f"mark{secrets.token_hex(6)}"
    run = sandbox.run(["sh", "-c", f"sleep 60; : {mark}"], lease=Lease(boottime(), 60.0))
    running = asyncio.create_task(run)
    await until(lambda: len(alive_with(mark)) > 0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not alive_with(mark)


HOLDER = """
import asyncio, sys
from bzzzd.agent.lease import Lease, boottime
from bzzzd.agent.sandbox import Sandbox

async def main():
    sandbox = await Sandbox.probe()
    await sandbox.run(["sh", "-c", f"sleep 60; : {sys.argv[1]}inside"], lease=Lease(boottime(), float(sys.argv[2])))

asyncio.run(main())
"""


@pytest.mark.parametrize(("stop", "lease_s"), [(signal.SIGKILL, 60.0), (signal.SIGSTOP, 3.0)])
async def test_a_dead_or_frozen_agent_leaves_nothing_running(stop: signal.Signals, lease_s: float) -> None:
    mark = f"mark{secrets.token_hex(6)}"
    agent = subprocess.Popen([sys.executable, "-c", HOLDER, mark, str(lease_s)])  # noqa: ASYNC220
    try:
        await until(lambda: len(alive_with(f"{mark}inside")) > 0)
        agent.send_signal(stop)
        await until(lambda: not alive_with(f"{mark}inside"))
    finally:
        agent.kill()
        agent.wait()


async def test_an_argv_that_cannot_be_one_is_refused(sandbox: Sandbox) -> None:
    lease = Lease(boottime(), 60.0)
    for argv in ([], [""], ["sh", "a\0b"], ["echo", "x" * 200_000]):
        with pytest.raises(BadInput):
            await sandbox.run(argv, lease=lease)


async def test_a_missing_bwrap_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match="apt-get install bubblewrap"):
        await Sandbox.probe(search=str(tmp_path))


async def test_a_bwrap_that_fails_gives_its_reason(open_folder: Path) -> None:
    broken = open_folder / "bwrap"
    broken.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SandboxUnavailable, match="No permissions to create new namespace"):
        await Sandbox.probe(search=str(open_folder))


async def test_a_configured_program_is_shown_and_nothing_around_it(sandbox: Sandbox, open_folder: Path) -> None:
    program = open_folder / "agent.py"
    program.write_text("import json,sys,os; print(json.load(sys.stdin), sorted(os.listdir(sys.path[0])))")
    (open_folder / "neighbour").write_text("x")
    argv = ["/usr/bin/python3", str(program)]
    visible = program_paths(argv, closed=[])
    assert visible == [program]
    stdin = json.dumps({"a": 1}).encode()
    report = await sandbox.run(argv, lease=Lease(boottime(), 60.0), stdin=stdin, visible=visible)
    assert report.stdout == b"{'a': 1} ['agent.py']\n", report


def test_a_program_over_a_closed_folder_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "keys").mkdir(parents=True)
    for word in (tmp_path, state, state / "keys", "/"):
        with pytest.raises(BadInput):
            program_paths(["python3", str(word)], closed=[state])
    assert program_paths(["python3", "-m", "x", str(tmp_path / "absent")], closed=[state]) == []
