"""Loading one process's settings, and checking folders of files."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from bzzzd.config.load import check, load
from bzzzd.config.roles import default_roles
from bzzzd.config.settings import Surroundings, expand
from bzzzd.errors import ConfigInvalid

ETC = Path(__file__).parents[2] / "etc"


def test_the_shipped_files_are_valid_together_and_by_themselves(around):
    assert check([ETC], around) == []
    for kind, name in (("daemon", "bzzzd.yaml"), ("agent", "agent.yaml"), ("hap", "hap.yaml")):
        settings = load(kind, ETC / name, around=around)
        assert settings.binary_type == kind
        assert settings.found
        assert settings.roles_found


def test_the_shipped_files_show_every_section():
    for name in ("bzzzd.yaml", "agent.yaml", "hap.yaml"):
        lines = (ETC / name).read_text().splitlines()
        for section in ("agent", "ai", "network", "security", "ports", "interface", "storage", "slurp", "limits"):
            assert any(line.startswith(f"{section}:") for line in lines), (name, section)


def test_the_shipped_files_say_what_the_defaults_are(around, tmp_path):
    for kind, name in (("daemon", "bzzzd.yaml"), ("agent", "agent.yaml"), ("hap", "hap.yaml")):
        assert load(kind, ETC / name, around=around).config == load(kind, tmp_path / name, around=around).config


def test_a_missing_file_means_the_defaults_and_says_so(around, tmp_path):
    settings = load("daemon", tmp_path / "none.yaml", around=around)
    assert (settings.found, settings.roles_found) == (False, False)
    assert settings.roles == default_roles()
    assert (settings.http_port, settings.health_port) == (8070, 8071)
    assert settings.socket == "/run/bzzz/bzzzd.sock"


@pytest.mark.parametrize(
    ("kind", "name", "ports", "limits", "state", "key", "me", "role"),
    [
        ("daemon", "d.yaml", (8070, 8071), (1_048_576, 5.0), "/var/lib/bzzz", "keys/node.key", "atlas", "node"),
        ("agent", "a.yaml", (8080, 8081), (1_048_576, 5.0), "/var/lib/bzzz-agent", "agent.key", "atlas-agent",
         "worker"),
        ("agent", "agent@blue.yaml", (0, 0), (1_048_576, 5.0), "/var/lib/bzzz-agent-blue", "agent.key", "atlas-blue",
         "worker"),
        ("hap", "h.yaml", (0, 0), (524_288, 30.0), "HOME/.local/state/bzzz", "person.key", "alice", "operator"),
    ],
)  # fmt: skip
def test_defaults_differ_between_processes(around, tmp_path, kind, name, ports, limits, state, key, me, role):
    settings = load(kind, tmp_path / name, around=around)
    state = state.replace("HOME", str(around.home))
    assert (settings.http_port, settings.health_port) == ports
    assert (settings.max_message_bytes, settings.message_timeout_s) == limits
    assert (str(settings.state_dir), str(settings.key_file)) == (state, f"{state}/{key}")
    assert (settings.config.agent.id, settings.config.agent.role) == (me, role)
    assert settings.grants_dir == settings.state_dir / "grants"
    assert settings.memory_mb > 0


@pytest.mark.parametrize(("mode", "http_port"), [("web", 8090), ("headless", 0)])
def test_a_portal_opens_ports_in_its_service_modes(put, around, mode, http_port):
    settings = load("hap", put("hap.yaml", interface=f"{{mode: {mode}}}"), around=around)
    assert (settings.http_port, settings.health_port) == (http_port, 8091)


def test_a_configured_port_wins_over_silence(put, around):
    assert load("agent", put("agent@blue.yaml", ports="{health_port: 9000}"), around=around).health_port == 9000
    assert load("daemon", put("bzzzd.yaml", ports="{health_port: 0}"), around=around).health_port == 0


def test_the_socket_is_the_options_then_the_environments_then_the_files(put, around):
    path = put("hap.yaml", network="{socket: /a.sock}")
    with_environment = replace(around, environ={"BZZZ_SOCKET": "/b.sock"})
    assert load("hap", path, around=around).socket == "/a.sock"
    assert load("hap", path, around=with_environment).socket == "/b.sock"
    assert load("hap", path, socket="/c.sock", around=with_environment).socket == "/c.sock"


def test_a_socket_of_the_environment_may_not_be_too_long_either(put, around):
    long = replace(around, environ={"BZZZ_SOCKET": "/" + "x" * 107})
    with pytest.raises(ConfigInvalid, match="BZZZ_SOCKET: a socket's path has at most 107 bytes"):
        load("hap", put("hap.yaml"), around=long)


def test_the_environment_names_file_and_state(put, around):
    path = put("mine.yaml", binary_type="hap", agent="{id: bob}")
    named = replace(around, environ={"BZZZ_CONFIG_PATH": str(path), "BZZZ_STATE": "/s"})
    settings = load("hap", around=named)
    assert (settings.config.agent.id, str(settings.key_file)) == ("bob", "/s/person.key")


def test_the_state_folder_follows_xdg_unless_it_is_relative(around, tmp_path):
    xdg = replace(around, environ={"XDG_STATE_HOME": "/x"})
    assert str(load("hap", tmp_path / "none.yaml", around=xdg).state_dir) == "/x/bzzz"
    relative = replace(around, environ={"XDG_STATE_HOME": "x"})
    assert load("hap", tmp_path / "none.yaml", around=relative).state_dir == around.home / ".local/state/bzzz"


def test_a_home_is_written_with_a_tilde(put, around):
    path = put("hap.yaml", storage="{state_dir: ~/mine}", security="{key_file: ~/k}", network="{socket: ~/s}")
    settings = load("hap", path, around=around)
    home = around.home
    assert (settings.state_dir, settings.key_file, settings.socket) == (home / "mine", home / "k", str(home / "s"))


def test_every_fault_of_file_and_roles_is_raised_at_once(put, around, tmp_path):
    (tmp_path / "roles.yaml").write_text("version: 1\nroles: {boss: {authority: chief}}\n")
    path = put("bzzzd.yaml", storage="{inline: 3}", logging="{level: loud}")
    with pytest.raises(ConfigInvalid) as caught:
        load("daemon", path, around=around)
    keys = [fault["key"] for fault in caught.value.data["faults"]]
    assert keys == ["roles.boss.authority", "storage.inline", "logging.level"]
    assert caught.value.exit_status == 2
    assert f"{path}:5:11: storage.inline: this key is unknown; did you mean `inline_bytes`?" in caught.value.message
    assert "the configuration has 3 faults" in caught.value.message


def test_a_process_is_refused_when_its_file_clashes_with_another_of_its_folder(put, around):
    put("bzzzd.yaml")
    path = put("agent.yaml", ports="{health_port: 8071}")
    with pytest.raises(ConfigInvalid, match=r"port 8071 on 127\.0\.0\.1 is taken by bzzzd\.yaml"):
        load("agent", path, around=around)


def test_faults_of_another_processs_file_do_not_stop_this_one(put, around):
    put("agent.yaml", ai="{provider: magic}")
    assert load("daemon", put("bzzzd.yaml"), around=around).found


def test_files_with_names_of_their_own_are_not_compared_with_their_neighbours(put, around):
    put("bzzzd.yaml")
    assert load("agent", put("mine.yaml", ports="{health_port: 8071}"), around=around).health_port == 8071


def test_a_file_of_another_process_is_refused(put, around):
    with pytest.raises(ConfigInvalid, match="this file is for bzzz-agent, and bzzzd reads it"):
        load("daemon", put("bzzzd.yaml", binary_type="agent"), around=around)


def test_an_unreadable_file_is_no_missing_file(around, tmp_path):
    (tmp_path / "bzzzd.yaml").mkdir()
    with pytest.raises(ConfigInvalid, match=r"bzzzd.yaml: cannot be read: Is a directory"):
        load("daemon", tmp_path / "bzzzd.yaml", around=around)


def test_a_file_that_is_a_list_is_refused(around, tmp_path):
    (tmp_path / "bzzzd.yaml").write_text("- a\n")
    with pytest.raises(ConfigInvalid, match="expected sections with keys"):
        load("daemon", tmp_path / "bzzzd.yaml", around=around)


def test_checking_a_file_that_does_not_exist_is_a_fault(around, tmp_path):
    (fault,) = check([tmp_path / "none.yaml"], around)
    assert fault.message == "there is no such file"
    assert str(fault) == f"{tmp_path}/none.yaml: there is no such file; name one that exists"


def test_checking_gathers_the_faults_of_all_files(put, around, tmp_path):
    put("bzzzd.yaml", network="{soket: /a}")
    put("agent.yaml", agent="{slots: 0}")
    (tmp_path / "roles.yaml").write_text("version: 1\nroles: {}\n")
    assert [fault.key for fault in check([tmp_path], around)] == ["roles", "network.soket", "agent.slots"]


def test_a_file_with_another_name_says_which_process_it_is_for(put, around):
    assert check([put("mine.yaml", binary_type="agent")], around) == []
    (fault,) = check([put("mine.yaml")], around)
    assert fault.key == "binary_type"


def test_without_paths_the_folder_of_the_named_file_is_checked(put, around):
    path = put("bzzzd.yaml", ports="{health_port: 1, http_port: 1}")
    named = replace(around, environ={"BZZZ_CONFIG_PATH": str(path)})
    assert [fault.key for fault in check([], named)] == ["ports.health_port"]


def test_ids_made_from_names_fit_the_mesh(tmp_path):
    odd = Surroundings(environ={}, host="höst.1" * 30, user="Ü", home=tmp_path)
    assert load("daemon", tmp_path / "a.yaml", around=odd).config.agent.id == ("h-st-1" * 30)[:64]
    assert load("hap", tmp_path / "a.yaml", around=odd).config.agent.id == "-"


def test_a_user_called_like_the_host_gets_another_id(put, around, tmp_path):
    same = replace(around, user="atlas")
    put("bzzzd.yaml")
    assert load("hap", put("hap.yaml"), around=same).config.agent.id == "atlas-person"


def test_a_socket_given_at_start_is_no_clash_with_the_files(put, around, tmp_path):
    put("bzzzd.yaml", network="{socket: /d.sock}")
    path = tmp_path / "hap.yaml"
    with pytest.raises(ConfigInvalid, match="is not the socket of bzzzd"):
        load("hap", path, around=around)
    assert load("hap", path, socket="/d.sock", around=around).socket == "/d.sock"
    named = replace(around, environ={"BZZZ_SOCKET": "/d.sock"})
    assert load("hap", path, around=named).socket == "/d.sock"
    put("hap.yaml")
    assert [fault.key for fault in check([tmp_path], named)] == ["network.socket"]


def test_the_machines_own_surroundings_can_be_read():
    here = Surroundings.here()
    assert here.host
    assert here.environ["PATH"] == os.environ["PATH"]


def test_a_credential_is_what_systemd_handed_over_or_roots_own_file(around):
    handed = replace(around, environ={"CREDENTIALS_DIRECTORY": "/run/credentials/bzzz-agent.service"})
    assert expand("credential:model", handed) == Path("/run/credentials/bzzz-agent.service/credentials_model")
    assert expand("credential:model", around) == Path("/etc/bzzz/credentials/model")


def test_a_configuration_may_name_a_credential_and_nothing_else_under_that_word(around, put, tmp_path):
    handed = tmp_path / "handed"
    handed.mkdir()
    (handed / "credentials_model").write_text("token")
    (handed / "credentials_model").chmod(0o600)
    unit = replace(around, environ={"CREDENTIALS_DIRECTORY": str(handed)})
    good = put("agent.yaml", binary_type="agent", ai="{api_key_file: 'credential:model'}")
    assert load("agent", good, around=unit).config.ai.api_key_file == "credential:model"
    for name in ("../model", "", "a/b"):
        bad = put("agent.yaml", binary_type="agent", ai=f"{{api_key_file: 'credential:{name}'}}")
        with pytest.raises(ConfigInvalid, match="names no credential"):
            load("agent", bad, around=unit)
