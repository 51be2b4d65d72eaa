"""Which socket is talked to, with and without a YAML parser."""

import pytest

from bzzzd.cli.connect import DEFAULT_SOCKET, _plain_line, socket_path
from bzzzd.config.load import load
from bzzzd.errors import ConfigInvalid

REST = "agent: {}\nai: {}\nsecurity: {}\n"


@pytest.fixture
def config(tmp_path):
    def write(text: str, name: str = "hap.yaml") -> dict[str, str]:
        path = tmp_path / name
        path.write_text(text)
        return {"BZZZ_CONFIG_PATH": str(path)}

    return write


def test_the_option_wins_over_the_environment_and_that_over_the_file(config):
    environ = {**config(f"{REST}network:\n  socket: /c.sock\n"), "BZZZ_SOCKET": "/b.sock"}
    assert socket_path("/a.sock", environ) == "/a.sock"
    assert socket_path(None, environ) == "/b.sock"
    del environ["BZZZ_SOCKET"]
    assert socket_path(None, environ) == "/c.sock"


def test_without_a_file_the_usual_socket_is_meant(tmp_path):
    assert socket_path(None, {"BZZZ_CONFIG_PATH": str(tmp_path / "none.yaml")}) == DEFAULT_SOCKET


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("network:\n  socket: /run/x.sock\n", "/run/x.sock"),
        ("# socket\nnetwork:   # where\n    listen: []\n    socket: /x   # here\n", "/x"),
        ("network: {socket: /x}\n", ""),
        ("network:\n  socket: '/x'\n", ""),
        ("network:\n  socket: ~/x\n", ""),
        ("storage:\n  socket: /x\n", ""),
        ("network:\n  socket: /x\n  socket: /y\n", ""),
        ("network:\n  'socket': /x\n", ""),
        ("network:\n  socket:\n    /x\n", ""),
    ],
)
def test_only_one_plain_line_is_read_without_the_parser(text, plain):
    assert _plain_line(text) == plain


@pytest.mark.parametrize("text", [
    "network:\n  socket: /run/x.sock\n", "network: {socket: /x}\n", "network:\n  socket: '/x y'\n",
    "network:\n  socket:\n    /x\n", "network: {} # socket\n",
])  # fmt: skip
def test_both_ways_find_the_same_socket(config, text):
    environ = config(REST + text)
    assert socket_path(None, environ) == load("hap", environ["BZZZ_CONFIG_PATH"]).socket


def test_another_processs_file_serves_as_well(config):
    assert socket_path(None, config(f"{REST}network: {{socket: /d.sock}}\n", "bzzzd.yaml")) == "/d.sock"


def test_a_file_with_faults_is_refused_when_it_must_be_parsed(config):
    with pytest.raises(ConfigInvalid):
        socket_path(None, config(f"{REST}network: {{socket: x.sock}}\n"))
