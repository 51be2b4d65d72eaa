import asyncio
from pathlib import Path

import msgspec
import pytest
import yaml

from bzzzd.config.roles import RolesFile
from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.membership.charter import Charter
from bzzzd.daemon.membership.policies import Policies
from bzzzd.errors import Conflict, GrantRefused, InvalidEnvelope
from bzzzd.identity.grants import Trust, mesh_id_of
from bzzzd.identity.policy import PolicyRecord, seal_policy

ROLES = msgspec.convert(yaml.safe_load((Path(__file__).parents[3] / "etc" / "roles.yaml").read_text()), RolesFile)
AUTHORITY = SigningKey.generate()
MESH = mesh_id_of(AUTHORITY.public)
NARROW = msgspec.structs.replace(ROLES, guests=("status",))
WIDE = msgspec.structs.replace(ROLES, guests=("status", "doctor", "task.list"))
NOW = 1_800_000_000.0


class Machine:
    """A node's policy over its charter, in a folder; ``founder`` holds the authority's key."""

    def __init__(self, folder: Path, local: RolesFile = ROLES, founder: SigningKey | None = AUTHORITY) -> None:
        trust = Trust(MESH, AUTHORITY.public)
        self.charter = Charter(folder / "charter", trust, max_age_s=60, clock=lambda: NOW + 100)
        self.policies = Policies(self.charter, folder / "charter" / "roles.applied", MESH, local)
        self.charter.load()
        self.policies.load(founder, NOW)

    def put(self, raw: bytes) -> None:
        asyncio.run(self.charter.put(raw))

    def may(self, method: str) -> bool:
        return self.policies.current.guest_may(method)

    @property
    def number(self) -> int:
        return self.policies.current.number


def record(number: int, roles: RolesFile = ROLES, key: SigningKey = AUTHORITY, mesh: str = MESH) -> bytes:
    return seal_policy(key, mesh, PolicyRecord(number=number, at=NOW + 2, roles=roles))


def test_the_founder_signs_its_file_as_number_one(tmp_path: Path) -> None:
    assert Machine(tmp_path).number == 1
    (kept,) = (tmp_path / "charter").glob("policy-*.paper")
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_higher_number_is_in_force_at_once_and_after_a_restart(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.may("doctor")
    machine.put(record(2, NARROW))
    assert not machine.may("doctor")
    again = Machine(tmp_path)
    assert again.number == 2
    assert not again.may("doctor")


def test_a_number_that_is_not_higher_is_refused_and_the_same_record_twice_is_no_fault(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(record(2))
    machine.put(record(2))
    with pytest.raises(Conflict, match="not newer"):
        machine.put(record(1, NARROW))
    lower, higher = sorted((record(3, NARROW), record(3, WIDE)), key=lambda raw: _digest(raw))
    machine.put(higher)
    machine.put(lower)  # a tie goes to the lower hash
    with pytest.raises(Conflict):
        machine.put(higher)


def _digest(raw: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(raw).digest()


def test_a_record_that_no_administrator_of_this_mesh_signed_is_refused(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    with pytest.raises(GrantRefused, match="administrator"):
        machine.put(record(2, key=SigningKey.generate()))
    with pytest.raises(InvalidEnvelope):
        machine.put(record(2, mesh="other"))
    assert machine.number == 1


def test_a_node_that_has_heard_no_policy_goes_by_its_own_file(tmp_path: Path) -> None:
    machine = Machine(tmp_path, NARROW, founder=None)
    assert machine.number == 0
    assert not machine.may("doctor")
    machine.put(record(1))
    assert machine.number == 1


def test_a_members_own_file_narrows_what_the_mesh_allows(tmp_path: Path) -> None:
    machine = Machine(tmp_path, NARROW, founder=None)
    machine.put(record(1))
    assert not machine.may("doctor")
    assert machine.policies.current.narrowed
    assert not Machine(tmp_path, NARROW, founder=None).may("doctor")


def test_the_shipped_file_of_a_member_narrows_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, ROLES, founder=None)
    machine.put(record(1, WIDE))
    assert machine.may("task.list")


def test_a_file_that_was_the_meshs_policy_once_narrows_nothing_later(tmp_path: Path) -> None:
    machine = Machine(tmp_path, NARROW)  # the founder's own file, number 1
    machine.put(record(2, WIDE))
    assert machine.may("task.list")
    again = Machine(tmp_path, NARROW)
    assert again.may("task.list")
    assert not again.policies.current.narrowed
