"""mesh: founding it, who belongs to it, its administrators and its policy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bzzzd.cli.output import clean, facts, mapping, rows_of, table, when, words
from bzzzd.cli.person import as_root_or_admin, person_of
from bzzzd.cli.run import Run
from bzzzd.config.faults import in_order, refuse
from bzzzd.config.load import FOLDER, ROLES, read_roles
from bzzzd.errors import BadInput, NotAllowed
from bzzzd.identity.policy import PolicyRecord, seal_policy


def init(run: Run) -> int:
    found = mapping(run.call("mesh.init"))
    run.answer(found, lambda: _facts(run, found))
    return 0


def members(run: Run) -> int:
    found = person_of(run).read("mesh.members")
    head = ("ID", "KIND", "ROLE", "CAPABILITIES", "STATE", "VALID UNTIL", "BY", "KEY")
    run.answer(found, lambda: table(head, [_member(row) for row in rows_of(found, "members")], run.out))
    return 0


def _member(row: Mapping[str, Any]) -> tuple[object, ...]:
    kind = "admin" if row.get("admin") else row.get("kind")
    until = when(row.get("not_after"))
    capabilities, state = words(row.get("capabilities")), row.get("state")
    return row.get("id"), kind, row.get("role"), capabilities, state, until, row.get("issuer"), row.get("key")


def settle(run: Run) -> int:
    found = mapping(person_of(run).read("mesh.settle", {"node": run.args["node"]}))
    run.answer(
        found, lambda: run.print(f"{clean(found.get('node'))} is settled; if it is seen again, it is told again")
    )
    return 0


def admin_add(run: Run) -> int:
    """Works for root and for bzzzd's own user without a session: the kernel says who calls."""
    found = mapping(as_root_or_admin(run, "mesh.admin_add", {"user": run.args["user"]}))
    run.answer(found, lambda: run.print(f"{clean(run.args['user'])} is an administrator from their next session on"))
    return 0


def policy_show(run: Run) -> int:
    found = mapping(person_of(run).read("mesh.policy_show"))
    run.answer(found, lambda: _show_policy(run, found))
    return 0


def _show_policy(run: Run, found: Mapping[str, Any]) -> None:
    roles = mapping(found.get("roles"))
    rules = mapping(roles.get("roles")) or roles
    facts([("number", found.get("number")), ("signed", when(found.get("at"))), ("by", found.get("by"))], run.out)
    if found.get("narrowed"):
        run.print("this node's own roles.yaml takes some of it away here")
    head = ("ROLE", "AUTHORITY", "CAPABILITIES", "READ", "WRITE", "ACT", "APPROVE", "DECRYPTS")
    rows = [
        (name, *(words(mapping(rule).get(column.lower())) for column in head[1:]))
        for name, rule in rules.items()
        if isinstance(rule, Mapping)
    ]
    if rows:
        run.print()
        table(head, rows, run.out)


def policy_apply(run: Run) -> int:
    path = Path(run.args["path"]) if run.args["path"] else _beside(run)
    roles, faults = read_roles(path)
    if roles is None:
        raise refuse(in_order(faults), "bzzz")
    person = person_of(run)
    current = mapping(person.read("mesh.policy_show")).get("number")
    if not isinstance(current, int):
        raise NotAllowed("bzzzd did not say which policy is in force; nothing was signed (bzzz mesh policy show)")
    record = PolicyRecord(number=current + 1, at=time.time(), roles=roles)
    envelope = seal_policy(person.key, person.mesh_id, record)
    found = mapping(person.act("mesh.policy_apply", {"envelope": envelope}))
    run.answer(found, lambda: run.print(f"policy {record.number} is in force, from {path}"))
    return 0


def _beside(run: Run) -> Path:
    named = run.environ.get("BZZZ_CONFIG_PATH")
    path = (Path(named).parent if named else FOLDER) / ROLES
    if not path.exists():
        raise BadInput(f"there is no {path}; name the file: bzzz mesh policy apply PATH")
    return path


def _facts(run: Run, found: Mapping[str, Any]) -> None:
    facts([(str(name), words(value)) for name, value in found.items() if not isinstance(value, Mapping)], run.out)
