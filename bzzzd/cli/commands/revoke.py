"""mesh revoke, mesh admin remove and mesh renew: rights taken back and renewed, signed with the administrator's key."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from bzzzd.cli.output import clean, mapping, rows_of, when
from bzzzd.cli.person import Person, person_of
from bzzzd.cli.run import Run
from bzzzd.errors import BzzzError, Conflict, NotFound
from bzzzd.identity.charter import seal_document
from bzzzd.identity.grants import Revocations
from bzzzd.identity.node import make_grant, next_serial
from bzzzd.identity.revocations import next_list
from bzzzd.identity.revoking import removal, said, subjects

_TRIES: Final = 10


def revoke(run: Run) -> int:
    return _take_back(run, clean(run.args["id"]), kind=run.args.get("kind"), admin=False)


def admin_remove(run: Run) -> int:
    return _take_back(run, clean(run.args["user"]), kind="person", admin=True)


def renew(run: Run) -> int:
    """The same grant as before, from now on and for as long, issued by the person at this command."""
    name = clean(run.args["id"])
    person = person_of(run)
    rows = [row for row in rows_of(mapping(person.read("mesh.members")), "members") if row["kind"] != "agent"]
    found = subjects(rows, name, run.args.get("kind"))
    keys = {each.key.hex() for each in found}
    renewed: list[Mapping[str, Any]] = []
    for row in rows:
        if row["key"] in keys:
            raw = make_grant(
                person.key, person.mesh_id, kind=row["kind"], id=row["id"], key=bytes.fromhex(row["key"]),
                role=row["role"], capabilities=row["capabilities"], valid_s=row["not_after"] - row["not_before"],
                now=time.time(), may_grant=row["may_grant"], max_validity_s=row["max_validity_s"], age=row["age"],
            )  # fmt: skip
            renewed.append(mapping(person.act("mesh.renew", {"grant": raw})))
    until = when(renewed[0].get("not_after"))
    run.answer({"renewed": renewed}, lambda: run.print(f"{said(found)} is a member until {until}"))
    return 0


def _take_back(run: Run, name: str, *, kind: str | None, admin: bool) -> int:
    everything = bool(run.args.get("all"))
    if run.args.get("authority"):
        asked = {"id": name, "kind": kind, "admin": admin, "everything": everything}
        found = mapping(run.call("mesh.revoke_here", asked, effects=True))
    else:
        found = _signed(run, name, kind, admin=admin, everything=everything)
    what = "is no administrator any more" if admin else "is revoked"
    run.answer(found, lambda: run.print(f"{found['revoked']} {what}, by list {found['number']} in the whole mesh"))
    return 0


def _signed(run: Run, name: str, kind: str | None, *, admin: bool, everything: bool) -> dict[str, Any]:
    """Sign the list that follows the one in force; when another one came in between, the next."""
    person = person_of(run)
    found = subjects(rows_of(mapping(person.read("mesh.members")), "members"), name, kind)
    admins = [each.key for each in found if each.admin]
    if admin and not admins:
        raise NotFound(f"{name} is no administrator; see: bzzz mesh members")
    for left in reversed(range(_TRIES)):
        told = mapping(person.read("mesh.revocations"))
        documents = [(bytes(author), bytes(digest)) for author, digest in told.get("documents") or ()]
        listed = next_list(
            _known(told), at=time.time(), keys=() if admin else [each.key for each in found],
            admins=[removal(key, next_serial(), documents, everything=everything) for key in admins],
        )  # fmt: skip
        envelope = seal_document(person.key, "revocations", person.mesh_id, listed)
        try:
            person.act("mesh.revoke", {"envelope": envelope})
        except Conflict:
            if not left:
                raise
        else:
            told = {"number": listed.number, "revoked": said(found)}
            return told if admin else {**told, "epoch": _new_keys(run, person)}
    raise AssertionError("the last try returns or raises")


def _new_keys(run: Run, person: Person) -> int | None:
    """What is written from now on is for new role keys; the member is removed also where none could be made."""
    try:
        return int(mapping(person.new_epoch())["number"])
    except BzzzError as error:
        run.say(f"no new role keys were made ({error.message}); an administrator makes them: bzzz mesh epoch new")
        return None


def _known(told: Mapping[str, Any]) -> Revocations:
    admins = [(bytes(key), int(serial), stand) for key, serial, stand in told.get("admins") or ()]
    return Revocations(
        number=int(told.get("number") or 0),
        keys={bytes(key): float(at) for key, at in told.get("keys") or ()},
        grants=frozenset((bytes(issuer), int(serial)) for issuer, serial in told.get("grants") or ()),
        issuers={key: serial for key, serial, _ in admins},
        stand={key: frozenset(map(bytes, stand)) for key, _, stand in admins},
    )
