"""Bad input, line by line: what the socket, the configuration, the disk and a model's endpoint may do to us."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import socket
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgpack
import pytest
import yaml

from bzzzd.crypto.keys import SigningKey
from bzzzd.rpc.wire import API
from bzzzd.slurp.commands import Claim, Complete
from tests.integration.conftest import BIN, Node, NodeMaker, Program, nodes_in, wait_for
from tests.integration.sessions import Session, refusal

MEMBERS_FRAME = 2_000_000
GUESTS_FRAME = 1_048_576
CONNECTIONS = 24
_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node that gets all the bad frames, and is seen to be unharmed after each of them."""
    with nodes_in(tmp_path_factory.mktemp("target")) as make:
        node = make(
            limits={"max_frame_bytes": MEMBERS_FRAME, "max_connections": CONNECTIONS},
            storage={"max_content_bytes": MEMBERS_FRAME - 100_000},
        )
        node.start()
        yield node


@pytest.fixture(autouse=True)
def unharmed(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a test on ``target`` it is the same process, well, and has logged nothing unexpected."""
    if "target" not in request.fixturenames:
        yield
        return
    node: Node = request.getfixturevalue("target")
    daemon = node.daemon
    assert daemon is not None
    before = len(daemon.text)
    yield
    assert daemon.running
    with node.person() as alice:
        assert alice.call("health")["ok"]
        assert alice.submit("Still taking work", capability="nobody")
    assert "Traceback" not in daemon.text[before:]


# The socket.


class Raw:
    """A connection without a client library: bytes out, frames in."""

    def __init__(self, node: Node, *, hello: bool = True) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20.0)
        self._socket.connect(str(node.socket))
        self._unpacker = msgpack.Unpacker(max_buffer_size=2**28)
        if hello and not self.greet():
            self._socket.close()
            raise AssertionError("bzzzd did not answer hello")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *error: object) -> None:
        self._socket.close()

    def greet(self) -> bool:
        """Say hello; whether that was welcome."""
        try:
            answer = self.ask("hello", {"api": API, "min_api": 1, "client": "raw"})
        except (BrokenPipeError, ConnectionResetError):
            return False
        return answer is not None and answer[0] == 1 and answer[2] is None

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def ask(self, method: str, *params: Any, id: int = 1) -> Any:
        self.send(msgpack.packb([0, id, method, list(params)]))
        return self.hear()

    def hear(self) -> Any:
        """The next frame, or ``None`` when the connection was closed."""
        while True:
            for frame in self._unpacker:
                return frame
            try:
                data = self._socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._unpacker.feed(data)

    def refused(self) -> str:
        """The code that is said before the connection is closed; a frame that is one, and nothing after it."""
        frame = self.hear()
        assert frame is not None
        assert self.hear() is None
        told = frame[2][0] if frame[0] == 2 else frame[2]
        assert told["message"]
        return str(told["code"])


def test_an_unknown_method_is_named_and_the_connection_goes_on(target: Node) -> None:
    with Raw(target) as raw:
        _, id, error, result = raw.ask("task.sumbit", {})
        assert (id, error["code"], result) == (1, "UNKNOWN_METHOD", None)
        assert "task.submit" in error["message"]
        assert raw.ask("status", {})[3]["ready"] is True


@pytest.mark.parametrize(
    "params",
    [
        {"id": 5}, {"id": None}, {"id": "x", "more": 1}, {}, {"id": ["x"]}, {"id": "x" * 100_000}, {b"id": "x"},
        {"id": {"a": {}}},
    ],
)  # fmt: skip
def test_parameters_of_a_wrong_kind_are_refused_by_name(target: Node, params: Any) -> None:
    with Raw(target) as raw:
        error = raw.ask("agent.show", params)[2]
        assert error["code"] == "INVALID_PARAMS"
        assert raw.ask("status", {})[2] is None


@pytest.mark.parametrize("params", [[], [1], [{}, {}], [[]], ["text"]])
def test_parameters_that_are_not_one_map_are_refused(target: Node, params: list[Any]) -> None:
    with Raw(target) as raw:
        assert raw.ask("agent.show", *params)[2]["code"] == "INVALID_PARAMS"


def test_before_hello_nothing_but_hello_is_answered(target: Node) -> None:
    with Raw(target, hello=False) as raw:
        assert raw.ask("status", {})[2]["code"] in ("NOT_READY", "NOT_ALLOWED", "BAD_INPUT", "NOT_ATTACHED")


@pytest.mark.parametrize(("api", "code"), [((0, 0), "CLIENT_TOO_OLD"), ((99, 98), "CLIENT_TOO_NEW")])
def test_a_client_of_another_time_is_told_which_end_is_older(target: Node, api: tuple[int, int], code: str) -> None:
    with Raw(target, hello=False) as raw:
        assert raw.ask("hello", {"api": api[0], "min_api": api[1], "client": "raw"})[2]["code"] == code


GARBAGE = {
    "not msgpack": b"\xc1\xc1\xc1\xc1",
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no frame": msgpack.packb({"method": "status"}),
    "a frame of another kind": msgpack.packb([9, 1, "status", [{}]]),
    "a frame that is too short": msgpack.packb([0, 1]),
    "an id that is a text": msgpack.packb([0, "1", "status", [{}]]),
    "a method that is a number": msgpack.packb([0, 1, 2, [{}]]),
    "nested without end": b"\x91" * 100_000,
    "random": bytes((number * 151 + 89) % 256 for number in range(4096)),
    "nothing but zeros": bytes(4096),
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
@pytest.mark.parametrize("hello", [True, False], ids=["after hello", "at once"])
def test_garbage_gets_an_error_and_a_closed_connection(target: Node, data: bytes, hello: bool) -> None:
    with Raw(target, hello=hello) as raw:
        raw.send(data)
        assert raw.refused() in ("MALFORMED_FRAME", "TOO_LARGE")


def test_a_frame_over_the_limit_gets_an_error_and_a_closed_connection(target: Node) -> None:
    with Raw(target) as raw:
        raw.send(b"\x94\x00\x01\xa6status\x91\x81\xa1x\xc6" + (GUESTS_FRAME * 2).to_bytes(4, "big"))
        # bzzzd may close before all of it was sent.
        with suppress(BrokenPipeError, ConnectionResetError):
            raw.send(bytes(GUESTS_FRAME * 2))
        assert raw.refused() == "TOO_LARGE"
    with target.person() as alice:
        # A member may send more than a guest, up to the configured limit.
        address = "ucxl://alice:admin@big:file/*^/"
        alice.put(address, bytes(MEMBERS_FRAME - 200_000))
        assert refusal(lambda: alice.put(address, bytes(MEMBERS_FRAME + 1))).code == "TOO_LARGE"


HALVES = {
    "a request": msgpack.packb([0, 1, "status", [{}]])[:-3],
    "a map that promises billions": b"\xdf\xff\xff\xff\xff",
    "a text that promises billions": b"\x94\x00\x01\xdb\xff\xff\xff\xff",
    "a byte": b"\x94",
}


def test_half_a_frame_and_silence_disturb_nobody(target: Node) -> None:
    assert target.daemon is not None
    before = _rss(target.daemon)
    with ExitStack() as silent:
        for half in HALVES.values():
            for hello in (True, False):
                silent.enter_context(Raw(target, hello=hello)).send(half)
        with target.person() as alice:
            assert alice.call("status")["ready"]
            assert alice.submit("Meanwhile", capability="nobody")
        assert _rss(target.daemon) - before < 16 * 1024


def test_connections_over_the_limit_are_told_so_and_make_room_when_they_end(target: Node) -> None:
    with ExitStack() as held:
        while held.enter_context(Raw(target, hello=False)).greet():
            pass
        with Raw(target, hello=False) as raw:
            assert raw.refused() == "OVERLOADED"
    wait_for("room", lambda: _greeted(target))


def _greeted(node: Node) -> bool:
    with Raw(node, hello=False) as raw:
        return raw.greet()


def test_a_client_that_never_reads_costs_little(target: Node) -> None:
    assert target.daemon is not None
    before = _rss(target.daemon)
    with Raw(target) as raw:
        raw._socket.settimeout(2.0)
        request = msgpack.packb([0, 1, "health", [{}]]) * 1000
        with pytest.raises((TimeoutError, BrokenPipeError, ConnectionResetError)):
            for _ in range(2000):
                raw.send(request)
        with target.person() as alice:
            assert alice.call("status")["ready"]
    assert _rss(target.daemon) - before < 64 * 1024


def _rss(program: Program) -> int:
    """Resident memory in KiB."""
    status = Path(f"/proc/{program.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])


# Rights and signatures.


def test_a_caller_without_the_right_is_told_which_and_what_mends_it(target: Node) -> None:
    with target.guest() as guest:
        found = refusal(lambda: guest.call("task.list", effects=False))
        assert (found.code, found.exit_status) == ("NOT_ATTACHED", 3)
        assert "bzzz mesh admin add" in found.message
        assert refusal(lambda: guest.call("context.list", effects=False)).exit_status == 3
        assert refusal(lambda: guest.call("ledger.backup")).exit_status == 3
    with target.agent("plain") as agent:
        for method in ("ledger.backup", "ledger.status", "logs.tail", "mesh.members"):
            found = refusal(lambda m=method: agent.call(m))
            assert (found.code, found.exit_status) == ("NOT_ALLOWED", 3)
    with target.agent("eyes", role="observer") as eyes:
        assert refusal(lambda: eyes.put("ucxl://eyes:observer@a:b/*^/", b"x")).code == "NOT_ALLOWED"
        assert refusal(lambda: eyes.publish("news", "x")).code == "NOT_ALLOWED"
        # A task that no rule allows is the ledger's to reject, and stays visible as such.
        task, params = eyes.brief("May I?")
        assert eyes.call("task.submit", **params)["task"]["state"] == "rejected"
        assert eyes.steps(task) == ["rejected"]
    # A node grants its agents the roles that its own grant lists, and none of a person's.
    found = refusal(target.agent("boss", role="admin").__enter__)
    assert (found.code, found.exit_status) == ("GRANT_REFUSED", 3)


def test_commands_are_their_authors_whoever_brings_them(target: Node) -> None:
    with target.person() as alice, target.agent("w1", capabilities=("own",)) as w1, target.agent("w2") as w2:
        task = alice.submit("Mine", capability="own")
        claimed = w1.claim(task)
        # Another agent's token, a token that nobody got, a key that nobody knows, another mesh.
        renewal = refusal(lambda: w2.renew(task, claimed["token"]))
        assert (renewal.code, renewal.exit_status) == ("NOT_ALLOWED", 3)
        assert refusal(lambda: w1.renew(task, [9, 9])).code == "CONFLICT"
        unknown = Session(target.socket, SigningKey.generate(), "w1", kind="agent")
        unknown.mesh_id = w1.mesh_id
        assert refusal(lambda: w1.call("task.claim", **unknown.command(Claim, task))).code == "GRANT_REFUSED"
        unknown.key, unknown.mesh_id = w1.key, "m" + "a" * 26
        assert refusal(lambda: w1.call("task.claim", **unknown.command(Claim, task))).code == "OTHER_MESH"
        # A command of one kind does not do for another, and content must be what was signed.
        assert refusal(lambda: w1.call("task.cancel", **w1.command(Claim, task))).code == "INVALID_ENVELOPE"
        version = w1.version("ucxl://w1:worker@default:x/*^/decision", b"one thing")
        command = w1.command(
            Complete,
            task,
            token=tuple(claimed["token"]),
            result="0" * 64,
            address="ucxl://w1:worker@default:x/*^/decision",
        )
        assert refusal(lambda: w1.call("task.complete", **command, **version)).code == "INVALID_ENVELOPE"
        assert refusal(lambda: w1.call("context.put", **{**version, "content": b"another"})).exit_status == 2
        assert alice.state(task) == "working"
        assert w1.complete(claimed, b"done")["task"]["state"] == "completed"


def test_versions_name_no_readers_that_policy_does_not(target: Node) -> None:
    with target.agent("teller") as teller:
        address = "ucxl://teller:worker@a:b/*^/"
        asked = teller.call("context.prepare", address=address)
        assert "node" not in asked["readers"]
        teller.told = {**teller.told}
        from bzzzd.slurp.brief import write_version

        version = write_version(
            teller.writer(), address=address, content=b"x", content_type="text/plain",
            readers=[*asked["readers"], "node"], at=0.0,
        )  # fmt: skip
        found = refusal(lambda: teller.call("context.put", version=version.header, content=b"x"))
        assert found.exit_status in (2, 3)
        assert "node" in found.message


# Configuration.


def checked(said: str, code: str, *words: str) -> None:
    """A refusal is one message of the program with its code, and no traceback."""
    lines = [line for line in said.strip().splitlines() if not line.startswith(("20", " "))]
    assert lines[0].startswith("bzzzd: "), said
    assert said.rstrip().endswith(f"({code})"), said
    assert "Traceback" not in said
    for word in words:
        assert word in said, f"{word!r} is not in: {said}"


def test_bad_yaml_and_unknown_keys_are_told_all_at_once_with_their_places(make_node: NodeMaker) -> None:
    node = make_node()
    path = node.folder / "bzzzd.yaml"
    good = path.read_text()
    path.write_text(good + "extra: [1, 2\n")
    status, said = node.refused()
    assert status == 2
    checked(said, "CONFIG_INVALID", f"{path}:")

    path.write_text(good.replace("health_port", "health_prot") + "limits: {max_inflight: many}\nagent: {}\n")
    status, said = node.refused()
    assert status == 2
    checked(said, "CONFIG_INVALID", "health_prot", "health_port", "max_inflight", f"{path}:")
    assert said.count(f"{path}:") >= 3
    # Nothing was made: not a key, not a folder.
    assert not node.state.exists()

    node.roles.write_text("version: 1\nroles: {admin: {authority: emperor}}\n")
    path.write_text(good)
    status, said = node.refused()
    assert status == 2
    checked(said, "CONFIG_INVALID", "emperor", str(node.roles))


def test_a_value_of_another_kind_or_file_is_refused(make_node: NodeMaker) -> None:
    node = make_node()
    changes: tuple[dict[str, dict[str, Any]], ...] = (
        {"network": {"listen": ["/ip4/0.0.0.0/tcp/1"]}},
        {"storage": {"inline_bytes": -1}},
        {"slurp": {"lease_s": "soon"}},
        {"agent": {"id": "no spaces here"}},
    )
    for change in changes:
        said = yaml.safe_load((node.folder / "bzzzd.yaml").read_text())
        for section, values in change.items():
            said.setdefault(section, {}).update(values)
        path = node.folder / "changed.yaml"
        path.write_text(yaml.safe_dump(said))
        status, text = node.refused(config=path)
        assert status == 2, text
        checked(text, "CONFIG_INVALID", next(iter(next(iter(change.values())))))
    status, text = node.refused(config=node.folder / "worker-1.yaml")
    assert status == 2
    checked(text, "CONFIG_INVALID", "binary_type")


def test_ports_that_clash_between_files_are_found_before_anything_binds(make_node: NodeMaker) -> None:
    node = make_node()
    node.write_agent("agent", ports={"http_port": 0, "health_port": node.health_port})
    found = node.bzzz("config", "check", str(node.folder))
    assert found.returncode == 2
    said = found.stderr.decode() + found.stdout.decode()
    assert str(node.health_port) in said
    assert "agent.yaml" in said


def test_a_port_that_is_taken_is_refused_with_its_holder(make_node: NodeMaker) -> None:
    node = make_node()
    for port, code, key in (
        (node.health_port, "CONFLICT", "ports.health_port"),
        (node.mesh_port, "P2P_INIT_FAILED", "network.listen"),
    ):
        with closing(socket.socket()) as taken:
            taken.bind(("127.0.0.1", port))
            taken.listen()
            status, said = node.refused()
        assert status == 1
        checked(said, code, str(port), key, f"uid {os.geteuid()}", f"process {os.getpid()}")
        assert not node.socket.exists()
    # The failed starts have left a state from which a start works.
    node.start()


# Keys.


def powerless() -> None:
    """In the child: root without the rights that let it pass by a file's mode, like anybody else."""
    if os.geteuid() == 0:
        for capability in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
            assert ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) == 0


@pytest.fixture
def founded(make_node: NodeMaker) -> Node:
    """A node that has run once and been stopped."""
    node = make_node()
    assert node.start().stop() == 0
    return node


def test_keys_that_are_exposed_unreadable_or_damaged_are_not_used(founded: Node) -> None:
    key = founded.state / "keys" / "node.key"
    text = key.read_text()
    key.chmod(0o644)
    status, said = founded.refused()
    assert status == 3
    checked(said, "KEY_EXPOSED", str(key), f"chmod 600 '{key}'")

    key.chmod(0o000)
    status, said = founded.refused(preexec_fn=powerless)
    assert status == 3
    checked(said, "KEY_EXPOSED", str(key), "cannot read")

    key.chmod(0o600)
    key.write_text("BZZZ-KEY-nonsense\n")
    status, said = founded.refused()
    assert status == 2
    checked(said, "BAD_INPUT", str(key), "damaged", "restore it")

    key.write_text(text)
    role = next((founded.state / "keys" / "roles").glob("*.age"))
    role.chmod(0o604)
    status, said = founded.refused()
    assert status == 3
    checked(said, "KEY_EXPOSED", str(role))
    role.chmod(0o600)

    grant = founded.state / "grants" / "node.grant"
    raw = grant.read_bytes()
    grant.write_bytes(raw[:-20])
    status, said = founded.refused()
    assert status == 2
    checked(said, "BAD_INPUT", str(grant))
    grant.write_bytes(raw)

    founded.state.chmod(0o777)
    status, said = founded.refused()
    assert status == 3
    checked(said, "KEY_EXPOSED", f"chmod 700 '{founded.state}'")
    founded.state.chmod(0o700)

    # None of this was changed or replaced by the attempts.
    assert key.read_text() == text
    before = founded.peer_id
    founded.start()
    assert founded.json("status")["peer_id"] == before


# One instance, and the socket's path.


def test_a_second_instance_is_refused_and_the_first_is_unharmed(node: Node) -> None:
    assert node.daemon is not None
    status, said = node.refused()
    assert status == 1
    checked(said, "ALREADY_RUNNING", f"as process {node.daemon.pid}")
    # One with a folder of its own, on the same socket.
    other = yaml.safe_load((node.folder / "bzzzd.yaml").read_text())
    other["storage"]["state_dir"] = str(node.folder / "other")
    path = node.folder / "other.yaml"
    path.write_text(yaml.safe_dump(other))
    status, said = node.refused(config=path)
    assert status == 1
    checked(said, "ALREADY_RUNNING", str(node.socket), f"process {node.daemon.pid}")
    assert node.json("status")["ready"]


def test_the_socket_of_a_dead_daemon_is_replaced(node: Node) -> None:
    assert node.daemon is not None
    node.daemon.kill()
    assert stat.S_ISSOCK(node.socket.stat().st_mode)
    found = node.bzzz("status")
    assert found.returncode == 5
    assert found.stderr.decode().startswith(
        f"bzzz: bzzzd is not running: nobody listens at {node.socket}; start it with"
    )
    node.start()
    assert node.json("status")["ready"]
    assert node.daemon.stop() == 0
    found = node.bzzz("status")
    assert found.returncode == 5
    assert "there is no socket" in found.stderr.decode()


def test_a_socket_path_that_cannot_be_used_is_explained(make_node: NodeMaker) -> None:
    node = make_node()
    long = node.folder / ("x" * 120)
    missing = node.folder / "missing" / "s"
    in_the_way = node.folder / "precious"
    in_the_way.write_text("precious")
    for path, words in (
        (long, ("BZZZ_SOCKET", "at most 107")),
        (missing, (f"mkdir -p {missing.parent}",)),
        (in_the_way, (str(in_the_way), "is no socket", "move it away")),
    ):
        status, said = node.refused(env={"BZZZ_SOCKET": str(path)})
        assert status == 2
        checked(said, "CONFIG_INVALID", *words)
    assert in_the_way.read_text() == "precious"


# The disk.


def test_a_state_folder_that_cannot_be_written_is_refused(founded: Node) -> None:
    founded.state.chmod(0o500)
    try:
        status, said = founded.refused(preexec_fn=powerless)
    finally:
        founded.state.chmod(0o700)
    assert status == 1
    checked(said, "STORAGE_FAILED", str(founded.state), "storage.state_dir")
    founded.state.rename(founded.folder / "aside")
    founded.state.write_text("a file")
    status, said = founded.refused()
    assert status == 1
    checked(said, "STORAGE_FAILED", str(founded.state), "is a file")
    founded.state.unlink()
    (founded.folder / "aside").rename(founded.state)
    founded.start()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """Mount a small file system at ``folder``; ``False`` where this user may not."""
    folder.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def limited(size: int) -> Callable[[], None]:
    """Where no small disk can be mounted, no file may grow over ``size``: to a program it is the same."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_without_space_is_told_at_the_start_and_leaves_nothing_broken(make_node: NodeMaker) -> None:
    node = make_node()
    with small_disk(node.state, "4m") as mounted:
        ballast = node.state / "ballast"
        if mounted:
            with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
                while True:
                    file.write(bytes(4096))
        # The log is a pipe here: it must be readable when no file can be written.
        found = subprocess.run(
            [str(BIN / "bzzzd"), "--config", str(node.folder / "bzzzd.yaml")],
            env=node.env, capture_output=True, text=True, timeout=60, check=False,
            preexec_fn=None if mounted else limited(0),
        )  # fmt: skip
        assert found.returncode == 1
        checked(found.stderr, "DISK_FULL", str(node.state))
        assert all(path.stat().st_size for path in node.state.rglob("*.key"))
        if mounted:
            ballast.unlink()
        else:
            shutil.rmtree(node.state)
        node.start()
        with node.person() as alice:
            assert alice.submit("With room again", capability="nobody")
        node.end()


def test_a_disk_that_fills_up_refuses_work_and_takes_it_again_when_there_is_room(make_node: NodeMaker) -> None:
    node = make_node()
    with small_disk(node.state, "8m") as mounted:
        if mounted:
            node.start()
        else:
            node.state.rmdir()
            node.start(preexec_fn=limited(3_000_000), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert node.daemon is not None
        kept: list[str] = []
        with node.person() as alice:
            found = refusal(lambda: _fill(alice, kept))
            assert found.code in ("DISK_FULL", "STORAGE_FAILED")
            assert kept
            # What was there is still read, and the node says how it is.
            assert len(alice.tasks()) >= 1
            assert node.daemon.running
            findings = {row["what"]: row["level"] for row in alice.call("doctor")["findings"]}
            assert findings
            if mounted:
                assert findings["disk"] == "bad"
                _make_room(node)
                wait_for("room", lambda: _accepted(alice))
            tasks = set(alice.tasks())
            assert set(kept) <= tasks
        node.daemon.stop()
        node.check_journal()
        node.start()
        with node.person() as alice:
            assert set(alice.tasks()) >= tasks
        node.end()


def _fill(alice: Session, kept: list[str]) -> None:
    for number in range(400):
        kept.append(alice.submit("Filling", body=f"{number} " * 10_000, capability="nobody"))


def _make_room(node: Node) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(node.state)], check=True)


def _accepted(alice: Session) -> bool:
    try:
        return bool(alice.submit("Room?", capability="nobody"))
    except Exception:
        return False


# The model's endpoint.


class Model(BaseHTTPRequestHandler):
    """An endpoint that does to each task what its title says."""

    protocol_version = "HTTP/1.1"
    release = threading.Event()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the tests' output."""

    def do_GET(self) -> None:
        self._answer(200, b'{"object": "list", "data": [{"id": "model"}]}')

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if "slow" in asked:
            self._head("text/event-stream")
            self.release.wait(30)
        elif "nonsense" in asked:
            self._answer(200, b"<html>I am a teapot</html>")
        elif "cut" in asked:
            self._head("text/event-stream")
            self.wfile.write(b'data: {"choices": [{"index": 0, "delta": {"content": "half a "}}]}\n\n')
            self.wfile.flush()
        elif "broken" in asked:
            self._answer(500, b'{"error": {"message": "out of memory"}}')
        self.close_connection = True

    def _head(self, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.flush()

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        Model.release.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def test_a_model_that_fails_gives_tasks_back_with_the_reason(node: Node, endpoint: str) -> None:
    ways = ("slow", "nonsense", "cut", "broken", "down")
    ai = {"provider": "openai", "model": "m", "retries": 0, "timeout_s": 1.0, "total_timeout_s": 5.0}
    tasks: dict[str, str] = {}
    with node.person() as alice:
        for way in ways:
            url = "http://127.0.0.1:9/v1" if way == "down" else endpoint
            handlers = [{"kind": "answer", "capability": way}]
            node.write_agent(f"model-{way}", agent={"handlers": handlers}, ai={**ai, "endpoint": url})
            agent = node.start_agent(f"model-{way}", attached=False)
            task = tasks[way] = alice.submit(f"Be {way}", capability=way)
            wait_for(f"the strike of {way}", lambda t=task: "struck" in alice.steps(t))
            # In ten seconds it would be asked again.
            agent.stop()
            shown = alice.show(task)
            assert (shown["task"]["state"], shown["task"]["strikes"]) == ("submitted", 1)
            assert shown["task"]["reason"] == "model_failed"
            assert shown["explanation"]["content"]
        # The task is whole: an agent that can do it does it.
        with node.agent("helper", capabilities=ways) as helper:
            for task in tasks.values():
                assert helper.complete(helper.claim(task), b"by hand")["task"]["state"] == "completed"
