import os
import subprocess
import sys
from pathlib import Path

import pytest

from bzzzd.errors import AlreadyRunning, BadInput, StorageFailed
from bzzzd.runtime.locks import InstanceLock

HOLD = """
import sys
from pathlib import Path
from bzzzd.runtime.locks import InstanceLock
InstanceLock(Path(sys.argv[1]), "agent", "a1").acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_file_is_private_and_names_the_pid(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    with InstanceLock(folder, "agent", "a1") as lock:
        assert lock.path == folder / "agent-a1.lock"
        assert lock.path.read_text() == f"{os.getpid()}\n"
        assert lock.path.stat().st_mode & 0o777 == 0o600
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_second_instance_is_refused_and_told_the_pid(tmp_path: Path) -> None:
    with (
        InstanceLock(tmp_path, "agent", "a1"),
        pytest.raises(AlreadyRunning, match=f"agent a1 is already running as process {os.getpid()}") as caught,
    ):
        InstanceLock(tmp_path, "agent", "a1").acquire()
    assert caught.value.data["pid"] == os.getpid()


def test_another_id_and_another_kind_are_other_locks(tmp_path: Path) -> None:
    with (
        InstanceLock(tmp_path, "agent", "a1"),
        InstanceLock(tmp_path, "agent", "a2"),
        InstanceLock(tmp_path, "hap", "a1"),
    ):
        pass


def test_a_released_lock_can_be_taken_again(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path, "agent", "a1")
    lock.acquire()
    lock.release()
    lock.release()
    with InstanceLock(tmp_path, "agent", "a1") as again:
        assert again.held


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match=f"process {holder.pid}"):
            InstanceLock(tmp_path, "agent", "a1").acquire()
        holder.kill()
        holder.wait()
    with InstanceLock(tmp_path, "agent", "a1") as lock:
        assert lock.path.read_text() == f"{os.getpid()}\n"


def test_children_do_not_inherit_the_lock(tmp_path: Path) -> None:
    lock = InstanceLock(tmp_path, "agent", "a1")
    lock.acquire()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as child:
        lock.release()
        with InstanceLock(tmp_path, "agent", "a1"):
            assert child.poll() is None


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StorageFailed, match=r"cannot lock .*agent-a1\.lock: .*must be writable"):
        InstanceLock(blocker, "agent", "a1").acquire()


def test_a_symbolic_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("keep")
    (tmp_path / "agent-a1.lock").symlink_to(target)
    with pytest.raises(StorageFailed, match="symbolic link"):
        InstanceLock(tmp_path, "agent", "a1").acquire()
    assert target.read_text() == "keep"


@pytest.mark.parametrize("name", ["", "a/b", "..\n", "x" * 129])
def test_an_id_that_is_no_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="no name for a lock file"):
        InstanceLock(tmp_path, "agent", name)
