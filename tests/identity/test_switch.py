"""Changing the mesh: one write decides, and what follows may be cut short anywhere."""

from pathlib import Path
from typing import Any

import pytest

from bzzzd.crypto.keys import SigningKey, load_or_create_key
from bzzzd.identity.grants import mesh_id_of
from bzzzd.identity.node import load_or_found, make_grant, read_grants
from bzzzd.identity.switch import Switch, carry_out, decide, inviter_addresses, pending

NOW = 1_800_000_000.0
NEW = SigningKey.from_seed(b"n" * 32)
PEER = "/ip4/192.0.2.7/tcp/8075/p2p/12D3KooW"


class Machine:
    """A lone founder's state folder with something of everything in it."""

    def __init__(self, state: Path) -> None:
        self.state, self.grants, self.keys = state, state / "grants", state / "keys"
        state.mkdir(mode=0o700)
        self.old = self.identity().mesh_id
        for name in ("people.json", "journal.sqlite", "journal.sqlite-wal"):
            (state / name).write_bytes(b"old")
        for name in ("content", "charter", "keys/roles"):
            (state / name).mkdir()
            (state / name / "file").write_bytes(b"old")
        (self.keys / "node.age").write_bytes(b"age")
        (state / "bzzzd-n1.lock").write_bytes(b"1")
        self.key = load_or_create_key(self.keys / "node.key")
        self.chain = make_grant(
            NEW, mesh_id_of(NEW.public), kind="node", id="n2", key=self.key.public, role="node", valid_s=3600.0, now=NOW
        )

    def identity(self) -> Any:
        return load_or_found(
            self.keys / "node.key", self.keys / "authority.key", self.grants, node_id="n1", age=None, agent_roles=(),
            now=NOW,
        )  # fmt: skip

    def decide(self) -> None:
        decide(self.state, Switch(left=self.old, authority=NEW.public, chain=(self.chain,), peers=(PEER,)))

    def carry_out(self) -> Switch | None:
        return carry_out(self.state, self.grants, (self.keys / "node.key", self.keys / "node.age"))

    def check_new(self) -> None:
        found = self.identity()
        assert (found.mesh_id, found.id, found.authority_key) == (mesh_id_of(NEW.public), "n2", None)
        assert pending(self.state) is None
        aside = self.state / "before" / self.old
        for name in ("people.json", "journal.sqlite", "content/file", "keys/roles/file", "keys/authority.key"):
            assert (aside / name).exists(), name
            assert not (self.state / name).exists(), name
        assert [path.name for path, _ in read_grants(aside / "grants")] == ["node.grant"]
        assert (self.keys / "node.age").read_bytes() == b"age"
        assert (self.state / "bzzzd-n1.lock").exists()
        assert inviter_addresses(self.state) == (PEER,)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "state")


def test_without_a_decision_nothing_happens(machine: Machine) -> None:
    assert machine.carry_out() is None
    assert machine.identity().mesh_id == machine.old
    assert inviter_addresses(machine.state) == ()


def test_after_the_decision_the_node_is_in_the_new_mesh_and_the_old_things_are_aside(machine: Machine) -> None:
    machine.decide()
    assert machine.identity().mesh_id == machine.old
    assert machine.carry_out() is not None
    machine.check_new()
    assert machine.carry_out() is None


def test_a_crash_at_any_step_is_finished_by_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every rename, link and removal in turn is the one after which the process dies."""
    real = {name: getattr(Path, name) for name in ("rename", "replace", "unlink")}
    for steps in range(1, 40):
        machine = Machine(tmp_path / f"state-{steps}")
        machine.decide()
        left = [steps]

        def counted(name: str, left: list[int] = left) -> Any:
            def step(self: Path, *args: Any, **options: Any) -> Any:
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
                return real[name](self, *args, **options)

            return step

        with monkeypatch.context() as patch:
            for name in real:
                patch.setattr(Path, name, counted(name))
            try:
                machine.carry_out()
                finished = True
            except KeyboardInterrupt:
                finished = False
        machine.carry_out()
        machine.check_new()
        if finished:
            return
    raise AssertionError("the switch never came to its end")


def test_a_grants_folder_elsewhere_is_served_as_well(machine: Machine, tmp_path: Path) -> None:
    machine.grants.rename(tmp_path / "grants")
    machine.grants = tmp_path / "grants"
    machine.decide()
    machine.carry_out()
    machine.check_new()
