"""Role secrets among real nodes: who is given which, from whom, and what a removed node does not get."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from bzzzd.crypto.age import new_identity, recipient_of, write_identity
from bzzzd.crypto.keys import SigningKey, load_or_create_key
from bzzzd.daemon.membership.charter import Charter
from bzzzd.errors import NoRoleKey, NotAllowed
from bzzzd.identity.charter import Paper, seal_document
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.revocations import RevocationList, Revoked
from bzzzd.storage.versions.rolekeys import RoleKeys
from tests.integration.conftest import ROLES, Node, NodeMaker, wait_for
from tests.integration.sessions import Session, refusal

AUTHORITY = SigningKey.generate()
MESH = mesh_id_of(AUTHORITY.public)
GRANTED = {"node", *ROLES}


def held(node: Node) -> set[str]:
    """The roles whose secrets of the epoch in force a node has."""
    with node.guest() as guest:
        return set(guest.call("status", effects=False)["role_keys"])


def epoch(node: Node) -> int:
    with node.guest() as guest:
        return int(guest.call("status", effects=False)["epoch"])


def start(*nodes: Node) -> None:
    for node in nodes:
        others = [other.address for other in nodes if other is not node]
        node.write_daemon(network={"static_peers": others})
    for node in nodes:
        node.start(ready=False)
    for node in nodes:
        node.wait_ready()


@pytest.fixture
def three(make_node: NodeMaker) -> tuple[Node, Node, Node]:
    """Only n1 has secrets at first."""
    authority = AUTHORITY
    nodes = make_node("n1"), make_node("n2"), make_node("n3")
    for number, node in enumerate(nodes):
        if number:
            node.write_hap(("alice", "bob", "carol")[number])
        node.join(authority, secrets=None if number == 0 else ())
    nodes[0].make_admin(authority)
    start(*nodes)
    return nodes


def test_nodes_are_given_the_secrets_of_their_roles_and_those_of_people_who_attach(
    three: tuple[Node, Node, Node],
) -> None:
    one, two, three_ = three
    everything = held(one)
    assert {"admin", "operator"} | GRANTED == everything
    for node in (two, three_):
        wait_for("the secrets", lambda n=node: held(n) == GRANTED)
    with two.person():
        wait_for("the administrators' secret", lambda: held(two) == GRANTED | {"admin"})
    assert held(three_) == GRANTED
    # Whoever has them serves, also when the node that made them is away.
    assert one.daemon is not None
    one.daemon.stop()
    with three_.person():
        wait_for("the secret from another holder", lambda: held(three_) == GRANTED | {"admin"})
    secrets = [path.read_text().strip() for path in (one.state / "keys" / "roles").glob("*.age")]
    assert secrets
    for node in three:
        for log in node.folder.glob("*.log"):
            assert "AGE-SECRET-KEY" not in log.read_text()


def test_an_administrator_starts_an_epoch_and_all_nodes_follow(three: tuple[Node, Node, Node]) -> None:
    one, two, three_ = three
    for node in (two, three_):
        wait_for("the secrets", lambda n=node: held(n) == GRANTED)
    address = "ucxl://alice:admin@garden:map/*^/north"
    with one.person() as alice:
        alice.put(address, b"before")
    assert one.json("mesh", "epoch", "new")["number"] == 2
    wait_for("the new epoch", lambda: all(epoch(node) == 2 for node in three))
    for node in (two, three_):
        wait_for("the new secrets", lambda n=node: held(n) >= GRANTED)
    with one.person() as alice:
        assert alice.call("context.get", address=address)["content"] == b"before"
        alice.put(address, b"after")
        assert alice.call("context.get", address=address)["content"] == b"after"
    shown = two.json("mesh", "epoch", "show")
    assert (shown["number"], shown["known"]) == (2, [2, 1])
    assert one.json("mesh", "epoch", "show")["by"] == "alice"
    assert all(wanted["role"] not in GRANTED for wanted in shown["lacking"])


def read(session: Session, address: str) -> bytes | None:
    """The content, or nothing while it has not come to this node."""
    with suppress(Exception):
        return bytes(session.call("context.get", address=address)["content"])
    return None


def ciphertext_of(node: Node, id: str) -> bytes:
    """A version's small content as it lies in the journal of a node that does not run."""
    with TemporaryDirectory() as folder:
        for path in node.state.glob("journal.sqlite*"):
            shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder) / "journal.sqlite")) as journal:
            (data,) = journal.execute(
                "SELECT c.data FROM versions v JOIN content c ON c.hash = v.content WHERE v.id = ?",
                (bytes.fromhex(id),),
            ).fetchone()
    return bytes(data)


def keys_of(node: Node) -> RoleKeys:
    """What a thief of the node's disk can read with."""
    return RoleKeys.load(node.state / "keys" / "roles", MESH)


def test_content_is_read_on_every_node_by_the_roles_that_may_and_by_no_other(three: tuple[Node, Node, Node]) -> None:
    one, two, three_ = three
    admins, everybody = "ucxl://alice:admin@garden:map/*^/plan", "ucxl://w1:worker@garden:map/*^/notes"
    with one.person() as alice, one.agent("w1") as worker:
        private = alice.put(admins, b"for administrators")
        worker.put(everybody, b"for workers")
    with two.person() as bob:
        wait_for("the plan on n2", lambda: read(bob, admins) == b"for administrators")
        wait_for("the notes on n2", lambda: read(bob, everybody) == b"for workers")
    with three_.agent("w3") as other:
        wait_for("the notes on n3", lambda: read(other, everybody) == b"for workers")
        assert refusal(lambda: other.call("context.get", address=admins)).exit_status in (3, 4)
    for node in three:
        assert node.daemon is not None
        node.daemon.stop()
    # Not the daemon's word alone: what lies on n3 does not open it.
    data = ciphertext_of(one, private)
    assert keys_of(two).decrypt(data, ["admin"]) == b"for administrators"
    with pytest.raises(NoRoleKey, match="admin"):
        keys_of(three_).decrypt(data, ["admin"])


def test_a_removed_node_reads_nothing_that_is_written_after(three: tuple[Node, Node, Node]) -> None:
    one, two, three_ = three
    for node in (two, three_):
        wait_for("the secrets", lambda n=node: held(n) == GRANTED)
    address = "ucxl://w1:worker@garden:map/*^/notes"
    with one.agent("w1") as worker:
        before = worker.put(address, b"before")
    for node in three:
        assert node.daemon is not None
        node.daemon.stop()
    stolen = keys_of(three_)
    old = ciphertext_of(one, before)
    assert stolen.decrypt(old, ["worker"]) == b"before"
    revoke(one, three_)
    for node in three:
        node.start()
    assert one.json("mesh", "epoch", "new")["number"] == 2
    wait_for("the new secrets", lambda: epoch(two) == 2 and held(two) >= GRANTED)
    with one.agent("w1") as worker:
        after = worker.put(address, b"after", parents=[before])
        assert worker.call("context.get", address=address.replace("*^", "*~1"))["content"] == b"before"
    with two.agent("w2") as other:
        wait_for("the content on n2", lambda: read(other, address) == b"after")
    wait_for("the content of before to be encrypted again", lambda: not one.json("mesh", "epoch", "show")["encrypting"])
    # What n3 has, and all that it could have taken with it, opens nothing of it.
    for node in three:
        assert node.daemon is not None
        node.daemon.stop()
    found = keys_of(three_)
    assert [known.number for known in found.epochs] == [1]
    with pytest.raises(NotAllowed):
        found.decrypt(ciphertext_of(one, after), ["worker"])
    newest = keys_of(one).epochs[0]
    found.keep(newest.raw)
    with pytest.raises(NoRoleKey, match="worker in epoch 2"):
        found.decrypt(ciphertext_of(one, after), ["worker"])
    assert keys_of(two).decrypt(ciphertext_of(one, after), ["worker"]) == b"after"


def revoke(at: Node, node: Node) -> None:
    """Have a node that does not run find, at its start, that another was removed."""
    key = load_or_create_key(node.state / "keys" / "node.key").public
    now = time.time()
    signed = seal_document(
        AUTHORITY, "revocations", MESH, RevocationList(number=1, at=now, keys=(Revoked(key=key, at=now),))
    )
    charter = Charter(at.state / "charter", Trust(MESH, AUTHORITY.public), max_age_s=3600.0)
    charter.load()
    charter.enter(Paper(signed))


def test_killed_in_the_middle_of_an_epoch_a_node_has_the_old_or_the_new_one_whole(make_node: NodeMaker) -> None:
    chance = random.Random(7)
    node = make_node("n1")
    node.start()
    address = "ucxl://alice:admin@garden:map/*^/plan"
    with node.person() as alice:
        alice.put(address, b"round 0")
        mesh = alice.mesh_id
    number = 1
    for turn in range(1, 6):
        daemon = node.daemon
        assert daemon is not None
        asking = threading.Thread(target=node.bzzz, args=("--timeout", "20", "mesh", "epoch", "new"))
        asking.start()
        killer = threading.Timer(chance.uniform(0.05, 0.5), daemon.process.kill)
        killer.start()
        daemon.process.wait(20)
        node.start()
        asking.join(60)
        now = epoch(node)
        assert number <= now <= number + 2
        assert held(node) == {"admin", "operator", *GRANTED}
        with node.person() as alice:
            assert alice.call("context.get", address=address)["content"] == f"round {turn - 1}".encode()
            alice.put(address, f"round {turn}".encode())
        number = now
    assert node.daemon is not None
    node.daemon.stop()
    found = RoleKeys.load(node.state / "keys" / "roles", mesh)
    assert found.current >= number > 1
    assert all(found.held(known.number) == {"admin", "operator", *GRANTED} for known in found.epochs)


def test_debians_age_decrypts_an_exported_version(make_node: NodeMaker) -> None:
    age = shutil.which("age")
    if age is None:
        pytest.fail("age is missing: apt-get install age")
    node = make_node("n1")
    node.start()
    address = "ucxl://alice:admin@garden:map/*^/plan"
    with node.person() as alice:
        alice.put(address, b"a well in the north")
    identity = node.folder / "key.age"
    write_identity(identity, new_identity())
    recipient = recipient_of(identity.read_text().strip())
    for name, to in (("named", ("--to", recipient)), ("roles", ())):
        output = node.folder / name
        assert node.json("context", "export", address, "--output", str(output), *to)["address"] == address
        key = identity if to else next((node.state / "keys" / "roles").glob("admin.1.*.age"))
        opened = subprocess.run(
            [age, "--decrypt", "-i", str(key), str(output)], capture_output=True, timeout=30, check=False
        )
        assert (opened.returncode, opened.stdout) == (0, b"a well in the north"), opened.stderr
        assert output.stat().st_mode & 0o777 == 0o600
    large = random.Random(1).randbytes(9 * 1024 * 1024 + 5)  # more than one message may carry
    (node.folder / "plan.bin").write_bytes(large)
    node.json("context", "put", address, "--file", str(node.folder / "plan.bin"))
    output = node.folder / "large.age"
    told = node.json("context", "export", address, "--output", str(output), "--to", recipient)
    assert told["size"] == output.stat().st_size
    opened = subprocess.run(
        [age, "--decrypt", "-i", str(identity), str(output)], capture_output=True, timeout=30, check=True
    )
    assert opened.stdout == large


def test_removing_a_member_starts_an_epoch(three: tuple[Node, Node, Node]) -> None:
    one, two, _ = three
    wait_for("n3 to be known", lambda: any(row["id"] == "n3" for row in one.json("mesh", "members")["members"]))
    assert one.json("mesh", "revoke", "n3")["epoch"] == 2
    wait_for("the new secrets", lambda: epoch(two) == 2 and held(two) >= GRANTED)
