from pathlib import Path

import msgspec
import pytest
import yaml

from bzzzd.config.roles import RolesFile
from bzzzd.crypto.keys import SigningKey
from bzzzd.daemon.policies import Policies
from bzzzd.errors import Conflict, GrantRefused, InvalidEnvelope
from bzzzd.identity.policy import PolicyRecord, seal_policy

ROLES = msgspec.convert(yaml.safe_load((Path(__file__).parents[2] / "etc" / "roles.yaml").read_text()), RolesFile)
ADMIN = SigningKey.generate()
NARROW = msgspec.structs.replace(ROLES, guests=("status",))


def made(folder: Path, local: RolesFile = ROLES) -> Policies:
    found = Policies(folder / "policy.record", "mesh", local, lambda key: key == ADMIN.public)
    found.load(ADMIN, 1.0)
    return found


def record(number: int, roles: RolesFile = ROLES, key: SigningKey = ADMIN, mesh: str = "mesh") -> bytes:
    return seal_policy(key, mesh, PolicyRecord(number=number, at=2.0, roles=roles))


def test_the_founder_signs_its_file_as_number_one(tmp_path: Path) -> None:
    assert made(tmp_path).current.number == 1
    assert (tmp_path / "policy.record").stat().st_mode & 0o777 == 0o600


def test_a_higher_number_is_in_force_at_once_and_after_a_restart(tmp_path: Path) -> None:
    policies = made(tmp_path)
    assert policies.current.guest_may("doctor")
    assert not policies.apply(record(2, NARROW)).guest_may("doctor")
    again = made(tmp_path)
    assert again.current.number == 2
    assert not again.current.guest_may("doctor")


def test_a_number_that_is_not_higher_is_refused(tmp_path: Path) -> None:
    policies = made(tmp_path)
    for number in (1, 2):
        if number == 2:
            policies.apply(record(2))
        with pytest.raises(Conflict, match="not newer"):
            policies.apply(record(number))


def test_a_record_that_no_administrator_of_this_mesh_signed_is_refused(tmp_path: Path) -> None:
    policies = made(tmp_path)
    with pytest.raises(GrantRefused, match="administrator"):
        policies.apply(record(2, key=SigningKey.generate()))
    with pytest.raises(InvalidEnvelope):
        policies.apply(record(2, mesh="other"))
    assert policies.current.number == 1


def test_the_machines_own_file_narrows_what_the_record_allows(tmp_path: Path) -> None:
    made(tmp_path)
    assert not made(tmp_path, NARROW).current.guest_may("doctor")
