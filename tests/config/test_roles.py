"""roles.yaml: the shipped file, its defaults in code, and rules that the shape does not show."""

from pathlib import Path

import yaml
from msgspec import convert
from msgspec.structs import replace

from bzzzd.config.roles import AUTHORITY_LEVELS, RoleRule, RolesFile, default_roles, problems

SHIPPED = Path(__file__).parents[2] / "etc" / "roles.yaml"


def test_the_shipped_file_and_the_defaults_in_code_are_the_same():
    assert convert(yaml.safe_load(SHIPPED.read_text()), RolesFile) == default_roles()


def test_the_shipped_roles_keep_every_rule_and_use_every_level():
    roles = default_roles()
    assert list(problems(roles)) == []
    assert {rule.authority for rule in roles.roles.values()} == set(AUTHORITY_LEVELS)


def test_an_undefined_role_is_named_where_it_is_used():
    roles = RolesFile(
        version=1,
        roles={"boss": RoleRule(authority="master", decrypts=("worker",))},
        content={"*": ("boss", "nobody")},
    )
    assert [problem.at for problem in problems(roles)] == [("roles", "boss", "decrypts", 0), ("content", "*", 1)]


def test_an_act_is_either_free_or_needs_approval():
    roles = RolesFile(version=1, roles={"boss": RoleRule(authority="master", act=("command",), approve=("command",))})
    assert [problem.at for problem in problems(roles)] == [("roles", "boss", "approve")]


def test_a_mesh_needs_somebody_in_charge():
    roles = default_roles()
    assert [p.at for p in problems(replace(roles, roles={"node": roles.roles["node"]}))][-1] == ("roles",)
