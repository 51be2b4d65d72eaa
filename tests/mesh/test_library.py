"""How libp2p is imported, each time in a process of its own."""

import subprocess
import sys

import pytest

START = """
import builtins, io, sys
real_open = builtins.open
def fake_open(file, *rest, **named):
    if str(file) == "/etc/resolv.conf":
        {fault}
    return real_open(file, *rest, **named)
builtins.open = fake_open
from bzzzd.mesh import library
library.load("9.9")
import trio
from bzzzd.mesh.network import build_swarm
from bzzzd.mesh.values import MeshSettings
async def main():
    print(build_swarm(b"s" * 32, MeshSettings(listen=())).get_peer_id())
trio.run(main)
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.parametrize(
    "fault",
    [
        "raise FileNotFoundError(file)",
        "raise PermissionError(file)",
        "return io.StringIO('')",
        "return io.StringIO('search example.org\\n')",
        "return io.StringIO('nameserver not-an-address\\n')",
    ],
)
def test_a_machine_without_a_name_server_gets_its_node(fault: str) -> None:
    assert run(START.format(fault=fault)).startswith("12D3KooW")


def test_without_the_guard_the_import_fails() -> None:
    code = START.format(fault="raise FileNotFoundError(file)").replace("library.load(", "import libp2p; print(")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "NoResolverConfiguration" in done.stderr


def test_what_was_left_out_of_the_import_is_the_real_thing_for_others_afterwards() -> None:
    assert (
        run(
            "from bzzzd.mesh import library; library.load('1'); import sys; left = 'zeroconf' in sys.modules;"
            "import zeroconf; from dns import resolver; import libp2p.security.tls.autotls.acme as acme;"
            "print(left, zeroconf.Zeroconf.__module__, 'lenient' in resolver.BaseResolver.read_resolv_conf.__name__,"
            "hasattr(acme, 'requests'))"
        )
        == "False zeroconf._core False True"
    )


def test_the_collector_is_on_again_and_libp2p_stays_quiet() -> None:
    assert (
        run(
            "from bzzzd.mesh import library; library.load('1'); library.load('2'); import gc, logging;"
            "logging.getLogger('libp2p.network').error('noise');"
            "from libp2p.identity.identify import identify; print(gc.isenabled(), identify.AGENT_VERSION)"
        )
        == "True bzzz/2"
    )
