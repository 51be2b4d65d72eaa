import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from localnode.folder import Folder, open_folder
from localnode.supervision import Supervision, last_lines, running, start

pytestmark = pytest.mark.integration

STAYS = "#!/bin/sh\necho up\nexec sleep 600\n"
FALLS = "#!/bin/sh\necho 'the port is taken'\nexit 1\n"
RUNNER = """
import sys
from pathlib import Path
from localnode.folder import open_folder
from localnode.supervision import start
started = start(open_folder(Path(sys.argv[1])), Path(sys.argv[2]))
print(started.child.pid, flush=True)
sys.stdin.read()
"""


def _until(true: Callable[[], object], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def _programs(folder: Path, daemon: str = STAYS, agent: str = STAYS) -> Path:
    folder.mkdir()
    for name, script in (("bzzzd", daemon), ("bzzz-agent", agent)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o700)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return open_folder(tmp_path / "state")


@pytest.fixture
def started(folder: Folder, tmp_path: Path) -> Iterator[Supervision]:
    made = start(folder, _programs(tmp_path / "bin"))
    yield made
    made.stop()


def test_both_programs_run_and_stop_with_supervisord(started: Supervision, folder: Folder) -> None:
    _until(lambda: started.states() == {"bzzzd": "RUNNING", "bzzz-agent": "RUNNING"})
    assert started.fallen() == ""
    _until(lambda: folder.log("bzzzd").read_text() == "up\n")
    started.stop()
    assert started.child is not None
    assert started.child.returncode == 0
    assert started.states() == {}


def test_a_running_node_is_found_again(started: Supervision, folder: Folder) -> None:
    again = running(folder)
    assert again is not None
    assert again.child is None
    again.stop()
    assert started.states() != {}


def test_nothing_is_found_where_nothing_runs(folder: Folder) -> None:
    assert running(folder) is None
    folder.supervisor_socket.write_text("")
    assert running(folder) is None


def test_a_program_that_falls_is_named_and_its_log_has_the_reason(folder: Folder, tmp_path: Path) -> None:
    made = start(folder, _programs(tmp_path / "bin", agent=FALLS))
    try:
        _until(lambda: made.fallen() == "bzzz-agent")
        _until(lambda: "  the port is taken" in last_lines(folder.log("bzzz-agent")))
    finally:
        made.stop()


def test_supervisord_ends_with_whoever_started_it(folder: Folder, tmp_path: Path) -> None:
    programs = _programs(tmp_path / "bin")
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2] / "scripts")}
    command = [sys.executable, "-c", RUNNER, str(folder.path), str(programs)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as runner:
        assert runner.stdout is not None
        supervisor = int(runner.stdout.readline())
        runner.kill()
    _until(lambda: not Path(f"/proc/{supervisor}").exists() or _is_zombie(supervisor))
    assert running(folder) is None


def _is_zombie(pid: int) -> bool:
    return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_a_log_that_is_missing_is_said_so(folder: Folder) -> None:
    assert "No such file" in last_lines(folder.log("bzzzd"))
