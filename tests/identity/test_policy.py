from pathlib import Path

import msgspec
import pytest
import yaml

from bzzzd.config.roles import RolesFile
from bzzzd.crypto.envelope import seal
from bzzzd.crypto.keys import SigningKey
from bzzzd.errors import BadInput, InvalidEnvelope, NotFound
from bzzzd.identity.policy import Policy, PolicyRecord, open_policy, seal_policy

SHIPPED = msgspec.convert(yaml.safe_load((Path(__file__).parents[2] / "etc" / "roles.yaml").read_text()), RolesFile)
KEY = SigningKey.generate()


def policy(narrowed_by: RolesFile | None = None) -> Policy:
    return Policy(PolicyRecord(number=1, at=1.0, roles=SHIPPED), narrowed_by)


@pytest.mark.parametrize(
    ("role", "resource", "operation", "allowed"),
    [
        ("admin", "anything", "write", True),
        ("operator", "task", "write", True),
        ("operator", "task:t-1", "write", True),
        ("operator", "tasks", "write", False),
        ("worker", "topic:coordination", "write", True),
        ("worker", "command", "act", True),
        ("coordinator", "command", "act", False),
        ("coordinator", "command", "approve", True),
        ("observer", "task", "write", False),
        ("nobody", "task", "read", False),
    ],
)
def test_the_shipped_roles_allow_what_they_say(role: str, resource: str, operation: str, allowed: bool) -> None:
    assert policy().can_access(role, (), resource, operation) is allowed  # type: ignore[arg-type]


def test_a_brief_reaches_workers_and_a_decision_its_operators() -> None:
    assert "worker" in policy().recipients("operator", "application/x-bzzz-brief")
    assert {"operator", "admin", "worker"} <= set(policy().recipients("worker", "text/markdown"))
    assert "observer" not in policy().recipients("worker", "text/markdown")


def test_a_local_file_narrows_and_never_widens() -> None:
    roles = dict(SHIPPED.roles)
    roles["worker"] = msgspec.structs.replace(roles["worker"], act=("answer", "format-disk"))
    narrow = policy(msgspec.structs.replace(SHIPPED, roles=roles, guests=("status", "ledger.backup")))
    assert narrow.can_access("worker", (), "answer", "act")
    assert not narrow.can_access("worker", (), "command", "act")
    assert not narrow.can_access("worker", (), "format-disk", "act")
    assert narrow.guest_may("status")
    assert not narrow.guest_may("ledger.backup")


def test_capabilities_are_held_only_where_the_role_lists_them() -> None:
    assert policy().may_hold("worker", "gpu")
    assert policy().may_hold("reviewer", "review")
    assert not policy().may_hold("reviewer", "gpu")


def test_a_record_is_read_back_and_a_forged_or_broken_one_refused() -> None:
    record = PolicyRecord(number=2, at=1.0, roles=SHIPPED)
    envelope, again = open_policy(seal_policy(KEY, "mesh", record), "mesh")
    assert (envelope.author, again) == (KEY.public, record)
    with pytest.raises(InvalidEnvelope):
        open_policy(seal(KEY, "policy", "mesh", b"\xc1"), "mesh")
    broken = PolicyRecord(number=1, at=1.0, roles=msgspec.structs.replace(SHIPPED, content={"*": ("ghost",)}))
    with pytest.raises(BadInput, match="ghost"):
        open_policy(seal_policy(KEY, "mesh", broken), "mesh")


def test_an_unknown_role_has_no_level() -> None:
    assert policy().authority_level("operator") == "decision"
    with pytest.raises(NotFound, match="ghost"):
        policy().authority_level("ghost")
