"""Two honest nodes, one of them attacked while both talk: what it cost the node, and whether the talk was complete."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.node import make_grant
from bzzzd.identity.noderecord import NodeRecord, seal_node_record
from tests.integration.conftest import Node, nodes_in, wait_for
from tests.integration.sessions import Session, Watch

ATTACKER: Final = Path(__file__).with_name("attacker.py")
TOPIC: Final = "talk"
RATE: Final = 20
SETTLE_S: Final = 3.0
ATTACK_S: Final = 240.0


@dataclass(frozen=True)
class Outcome:
    """``growth_mib`` is of anonymous memory. ``lost`` of the ``said`` honest messages did not come once, in order."""

    report: dict[str, Any]
    took_s: float
    growth_mib: float
    said: int
    lost: int
    cpu_s: float
    counted: dict[str, float]


def memory_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/{pid}/status has no RssAnon")


def cpu_s(pid: int) -> float:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


class Talk:
    """A person at one node speaks at a steady pace; one at the other listens."""

    def __init__(self, speaker: Session, watch: Watch) -> None:
        self._speaker = speaker
        self._watch = watch
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.said: list[str] = []

    def __enter__(self) -> Talk:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._enough.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._enough.wait(1 / RATE):
            self.said.append(f"{len(self.said)} of {self._speaker.id}")
            self._speaker.publish(TOPIC, self.said[-1])

    def heard(self) -> list[str]:
        return [item["payload"] for item in self._watch.seen if item["author"] == self._speaker.id]

    def lost(self) -> int:
        """How many came never, twice, or out of order."""
        heard = self.heard()
        if heard == self.said:
            return 0
        return max(1, len(set(self.said) - set(heard)) + len(heard) - len(set(heard)))

    def complete(self) -> bool:
        self._watch.look(0.2)
        return len(self.heard()) >= len(self.said)


class Siege:
    """Two members of one mesh that know each other; ``attack`` besets the first."""

    def __init__(self, one: Node, two: Node, authority: SigningKey) -> None:
        self.one = one
        self.two = two
        self._authority = authority

    def misfit(self) -> dict[str, Any]:
        """What a misbehaving member needs: a key with a grant like any other node's."""
        key = SigningKey.generate()
        mesh_id = mesh_id_of(self._authority.public)
        grant = make_grant(
            self._authority, mesh_id, kind="node", id="misfit", key=key.public, role="node", valid_s=3600.0,
            now=time.time(),
        )  # fmt: skip
        return {"seed": key.seed.hex(), "chain": [grant.hex()], "topic": f"bzzz/topic/{TOPIC}"}

    def poison(self) -> dict[str, Any]:
        """A member with something for every topic of the mesh: all of it well signed, with text that is no UTF-8."""
        misfit = self.misfit()
        key, chain = (
            SigningKey.from_seed(bytes.fromhex(misfit["seed"])),
            [bytes.fromhex(raw) for raw in misfit["chain"]],
        )
        mesh_id, no_text = mesh_id_of(self._authority.public), b"\xa2\xff\xfe"

        def signed(kind: str, payload: bytes) -> bytes:
            return seal(key, kind, mesh_id, payload)

        named = b"\x81\xa2id" + no_text
        grant, pack = [signed("grant", named)], msgspec.msgpack.encode
        record = NodeRecord((), time.time(), 1)
        given = {
            "bzzz/peers/1": [
                pack([signed("node-record", b"\x93\x91" + no_text + b"\x01\x01"), chain]),
                pack([seal_node_record(key, mesh_id, record), grant]),
            ],
            "bzzz/members/1": [pack([grant])],
            "bzzz/agents/1": [pack([signed("agent-record", named), chain])],
            "bzzz/charter/1": [pack([signed("policy", b"\x83\xa6number\x01\xa2at\x01\xa5roles" + named), chain])],
            "bzzz/decisions/1": [signed("decisions", b"\x91\x91" + no_text)],
        }
        pairs = [[topic, raw.hex()] for topic, raws in given.items() for raw in raws]
        return {**misfit, "poison": pairs}

    def counted(self) -> dict[str, float]:
        """The node's mesh counters."""
        lines = self.one.http("/metrics")[1].splitlines()
        pairs = (line.split() for line in lines if line.startswith(("bzzz_mesh_", "bzzz_messages_")))
        return {pair[0]: float(pair[1]) for pair in pairs if len(pair) == 2 and "{" not in pair[0]}

    def attack(self, what: str, count: int, **more: Any) -> Outcome:
        daemon = self.one.daemon
        assert daemon is not None
        with self.one.person() as alice, self.two.person() as bob:
            # Two sessions each: one speaks in a thread of its own, the other listens.
            with self.one.person() as alices_ear, self.two.person() as bobs_ear:
                here, there = Watch(alices_ear, f"topic:{TOPIC}"), Watch(bobs_ear, f"topic:{TOPIC}")
                _until_heard(alice, there)
                _until_heard(bob, here)
                before, began, cpu = memory_mib(daemon.pid), time.monotonic(), cpu_s(daemon.pid)
                counted = self.counted()
                with Talk(alice, there) as out, Talk(bob, here) as back:
                    report = self._run(what, count, more)
                    took = time.monotonic() - began
                _within("the talk to arrive", lambda: out.complete() and back.complete())
            spent = cpu_s(daemon.pid) - cpu
            time.sleep(SETTLE_S)  # a rest before the figure: what is freed takes its time
            after = self.counted()
            assert daemon.running, daemon.text[-2000:]
            return Outcome(
                report=report, took_s=took, growth_mib=memory_mib(daemon.pid) - before,
                said=len(out.said) + len(back.said), lost=out.lost() + back.lost(), cpu_s=spent,
                counted={name: after[name] - counted.get(name, 0.0) for name in after},
            )  # fmt: skip

    def _run(self, what: str, count: int, more: dict[str, Any]) -> dict[str, Any]:
        setup = {
            "attack": what, "host": "127.0.0.1", "port": self.one.mesh_port, "peer_id": self.one.peer_id,
            "count": count, **more,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, str(ATTACKER)], input=json.dumps(setup) + "\n", capture_output=True, text=True,
            timeout=ATTACK_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"the attacker failed: {done.stderr[-2000:]}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report


def _within(what: str, condition: Callable[[], bool]) -> None:
    wait_for(what, condition, 60.0)


def _until_heard(speaker: Session, watch: Watch) -> None:
    """Speak until it is heard, have the rest arrive, and forget it."""

    def heard(word: str) -> bool:
        speaker.publish(TOPIC, word)
        return any(item["payload"] == word for item in watch.look(0.2))

    _within("a first word", lambda: heard("hello"))
    _within("the last word before", lambda: heard("now"))
    watch.look(0.5)
    watch.seen.clear()


@contextmanager
def siege(folder: Path) -> Iterator[Siege]:
    authority = SigningKey.generate()
    with nodes_in(folder) as make:
        one, two = make("n1"), make("n2")
        two.write_hap("bob")
        two.write_daemon(network={"static_peers": [one.address]})
        for node in (one, two):
            node.join(authority)
            node.start()

        def connected() -> bool:
            with one.guest() as guest:
                return any(row["connected"] for row in guest.call("peers", effects=False)["peers"])

        _within("the two to meet", connected)
        yield Siege(one, two, authority)
