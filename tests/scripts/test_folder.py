import os
import stat
import subprocess
from pathlib import Path

import pytest
from localnode.folder import SOCKET_PATH_BYTES, open_folder, write_configuration

from bzzzd.config.load import check, load
from bzzzd.config.settings import Surroundings
from bzzzd.errors import ConfigInvalid, StorageFailed
from bzzzd.hmmm.folders import read_forms
from bzzzd.runtime.ports import listen


def _around(path: Path) -> Surroundings:
    return Surroundings({}, "host", "user", path)


def test_the_files_are_a_valid_configuration(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    write_configuration(folder)
    assert check([folder.path], _around(tmp_path)) == []
    settings = load("daemon", folder.path / "bzzzd.yaml", around=_around(tmp_path))
    assert settings.config.security.development
    assert settings.socket == str(folder.path / "bzzzd.sock")
    assert settings.state_dir == folder.path / "bzzzd"


def test_the_portal_and_the_agent_have_the_forms_and_texts_that_ship(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    write_configuration(folder)
    portal = load("hap", folder.path / "hap.yaml", around=_around(tmp_path)).config.interface
    agent = load("agent", folder.path / "agent.yaml", around=_around(tmp_path)).config.interface
    forms, faults = read_forms([Path(portal.message_templates_path)])
    assert "proposal" in forms
    assert not faults
    assert list(Path(agent.prompt_library_path).glob("*.yaml"))


def test_everything_lies_in_the_folder_and_is_private(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    write_configuration(folder)
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == [folder.path]
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.path.iterdir())


def test_taken_ports_are_replaced_and_kept_for_the_next_run(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    write_configuration(folder)
    first = load("daemon", folder.path / "bzzzd.yaml", around=_around(tmp_path)).health_port
    assert write_configuration(folder) == []
    assert load("daemon", folder.path / "bzzzd.yaml", around=_around(tmp_path)).health_port == first
    with listen("127.0.0.1", first):
        said = write_configuration(folder)
    second = load("daemon", folder.path / "bzzzd.yaml", around=_around(tmp_path)).health_port
    assert said == [f"port {first} (bzzzd health) is taken, using {second}"]
    assert second not in (first, 0)


def test_a_change_by_hand_is_kept(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    write_configuration(folder)
    file = folder.path / "agent.yaml"
    file.write_text(file.read_text().replace("provider: embedded", "provider: embedded\n  max_tokens: 99"))
    assert write_configuration(folder) == [f"{file} was changed by hand and is used as it is"]
    assert "max_tokens: 99" in file.read_text()


def test_a_change_by_hand_that_does_not_fit_is_refused_before_anything_starts(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "state")
    write_configuration(folder)
    file = folder.path / "agent.yaml"
    file.write_text(file.read_text().replace("provider: embedded", "provider: embeded"))
    with pytest.raises(ConfigInvalid, match=r"agent\.yaml:\d+:\d+: ai\.provider: .*did you mean"):
        write_configuration(folder)


def test_a_folder_with_a_long_path_has_its_sockets_in_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    folder = open_folder(tmp_path / ("long" * 25))
    assert folder.sockets.parent == runtime
    assert len(os.fsencode(folder.supervisor_socket)) <= SOCKET_PATH_BYTES
    assert stat.S_IMODE(folder.sockets.stat().st_mode) == 0o700
    assert open_folder(folder.path) == folder


def test_without_a_runtime_folder_the_short_one_is_kept_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = open_folder(tmp_path / ("long" * 25))
    assert folder.sockets.parent == tmp_path
    assert open_folder(folder.path).sockets == folder.sockets


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFailed, match=r"cannot write the state folder .*--state DIR"):
        open_folder(tmp_path / "file" / "state")


def test_the_command_of_the_folder_knows_its_node(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "it's here")
    write_configuration(folder)
    script = folder.command.read_text().replace(
        '/bzzz "$@"', "/python -c 'import os; print(os.environ[\"BZZZ_SOCKET\"])'"
    )
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout == f"{folder.socket}\n"
