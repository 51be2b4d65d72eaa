"""mesh invite, requests, confirm, refuse: letting nodes and people in, from the inviter's side."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from bzzzd.cli.output import clean, facts, mapping, number, rows_of, table, when
from bzzzd.cli.person import Person, person_of
from bzzzd.cli.run import Run
from bzzzd.crypto.keys import key_from_text
from bzzzd.errors import BadInput, NotFound
from bzzzd.identity.node import make_grant

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LOOK_S = 0.5
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_INVITATION = re.compile(r"[0-9a-f]{16}")
# What bzzzd takes.
_MOST_USES = 1000
_LONGEST_S = 30 * 86400.0


def invite(run: Run) -> int:
    args = run.args
    uses, expires_s = checked(args["uses"], seconds(args["expires"]))
    for option in ("person", "id"):
        if args[option] is not None and not _ID.fullmatch(args[option]):
            raise BadInput(f"--{option} {args[option][:64]!r}: an id has 1 to 64 of A-Z a-z 0-9 _ -")
    person = person_of(run)
    asked = {
        "role": args["role"], "person": args["person"], "id": args["id"], "uses": uses, "yes": args["yes"],
        "key": args["key"], "expires_s": expires_s,
    }  # fmt: skip
    made = mapping(run.call("mesh.invite", {name: value for name, value in asked.items() if value is not None},
                            effects=True))  # fmt: skip
    run.answer(made, lambda: _show(run, made))
    run.out.flush()
    reached = made.get("addresses")
    if isinstance(reached, list) and all(clean(one).startswith(("/ip4/127.", "/ip6/::1/")) for one in reached):
        run.say(
            "this node listens on this machine alone, so no other machine can join by it: set network.listen in "
            "bzzzd.yaml, restart bzzzd, and invite again"
        )
    attended = args["wait"] or (sys.stdin.isatty() and not run.json)
    if args["no_wait"] or not attended:
        if made.get("unattended") and made.get("signs") == "client":
            run.say(
                "the authority's key is not on this node, so your own key signs each grant: keep `bzzz mesh invite "
                "--wait` running, or confirm each joiner (bzzz mesh requests)"
            )
        return 0
    return _attend(run, person, made)


def checked(uses: int, expires_s: float) -> tuple[int, float]:
    """The two as they are; ``BadInput`` for what no invitation can have."""
    if not 1 <= uses <= _MOST_USES:
        raise BadInput(f"--uses {uses}: an invitation lets in 1 to {_MOST_USES}")
    if expires_s > _LONGEST_S:
        raise BadInput(f"an invitation lasts at most {_LONGEST_S / _UNITS['d']:.0f} days: --expires 30d")
    return uses, expires_s


def seconds(text: str) -> float:
    """``90``, ``30m``, ``24h`` or ``7d`` as seconds; raises ``BadInput``."""
    amount, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1.0)
    if not (amount.isascii() and amount.isdigit() and 0 < len(amount) < 9 and int(amount)):
        raise BadInput(f"{text!r} is no time; say it like 30m, 24h or 7d")
    return int(amount) * unit


def _show(run: Run, made: Mapping[str, Any]) -> None:
    whom = clean(made.get("id")) or f"any {clean(made.get('kind'))}"
    facts(
        [
            ("for", f"{whom}, role {clean(made.get('role'))}"), ("uses", made.get("uses")),
            ("until", when(made.get("expires"))), ("mesh", made.get("mesh_id")),
            ("asks", "nobody" if made.get("unattended") else "you, when somebody joins"),
        ],
        run.out,
    )  # fmt: skip
    run.print(f"\nOn the machine that joins:\n\n    bzzz mesh join {clean(made.get('token'))}\n")


def _attend(run: Run, person: Person, made: Mapping[str, Any]) -> int:
    """Ask about each joiner of this invitation until it is used up, has ended, or the time given is over."""
    invitation, timeout = made.get("invitation"), run.args.get("timeout")
    until = time.monotonic() + timeout if timeout else None
    run.say("waiting for joiners; Ctrl-C leaves, and `bzzz mesh requests` shows them later")
    decided: set[str] = set()
    while until is None or time.monotonic() < until:
        found = mapping(person.read("mesh.requests"))
        for row in rows_of(found, "requests"):
            code = clean(row.get("code"))
            if row.get("invitation") == invitation and code not in decided:
                decided.add(code)
                _decide(run, person, row)
        if not any(row.get("invitation") == invitation for row in rows_of(found, "invitations")):
            run.say("the invitation is used up or has ended")
            return 0
        time.sleep(_LOOK_S)  # requests are no stream: few come, and a person decides on each
    return 0


def _decide(run: Run, person: Person, row: Mapping[str, Any]) -> None:
    who = f"{clean(row.get('kind'))} {clean(row.get('id'))} from {clean(row.get('address'))}"
    run.say(f"{who} asks for role {clean(row.get('role'))} and shows the code  {clean(row.get('code'))}")
    if row.get("unattended"):
        _let_in(run, person, row)
    elif not sys.stdin.isatty():
        run.say(f"compare it with the joiner's screen, then: bzzz mesh confirm {clean(row.get('code'))}")
    elif run.agreed("Does the joiner's screen show the same code?"):
        _let_in(run, person, row)
    else:
        person.read("mesh.refuse", {"code": clean(row.get("code"))})
        run.say(f"{who} was turned away")


def _let_in(run: Run, person: Person, row: Mapping[str, Any]) -> None:
    found = mapping(_confirm(person, row))
    run.say(f"{clean(found.get('kind'))} {clean(found.get('id'))} is a member now, role {clean(found.get('role'))}")


def _confirm(person: Person, row: Mapping[str, Any]) -> Any:
    """Confirm a request; where the node does not hold the authority's key, with a grant signed here."""
    asked: dict[str, Any] = {"code": clean(row.get("code"))}
    if row.get("signs") == "client":
        asked["grant"] = make_grant(
            person.key, person.mesh_id, kind=clean(row.get("kind")), id=clean(row.get("id")),
            key=key_from_text(clean(row.get("key"))), role=clean(row.get("role")), valid_s=number(row.get("valid_s")),
            now=time.time(), age=clean(row.get("age")) or None,
            may_grant=[clean(name) for name in row.get("may_grant") or ()],
            max_validity_s=number(row.get("max_validity_s")),
        )  # fmt: skip
    return person.read("mesh.confirm", asked)


def requests(run: Run) -> int:
    found = mapping(person_of(run).read("mesh.requests"))
    run.answer(found, lambda: _list(run, found))
    return 0


def _list(run: Run, found: Mapping[str, Any]) -> None:
    waiting, open_ones = rows_of(found, "requests"), rows_of(found, "invitations")
    if not waiting:
        run.print("nobody waits to be let in")
    else:
        head = ("CODE", "KIND", "ID", "ROLE", "FROM", "SINCE", "KEY")
        names = ("code", "kind", "id", "role", "address", "since", "key")
        rows = [[when(row[name]) if name == "since" else row.get(name) for name in names] for row in waiting]
        table(head, rows, run.out)
    if open_ones:
        run.print()
        head = ("INVITATION", "KIND", "ID", "ROLE", "USES", "USED", "UNTIL")
        names = ("invitation", "kind", "id", "role", "uses", "used", "expires")
        rows = [[when(row[name]) if name == "expires" else row.get(name) for name in names] for row in open_ones]
        table(head, rows, run.out)


def confirm(run: Run) -> int:
    person = person_of(run)
    found = mapping(_confirm(person, _waiting(run, person)))
    run.answer(found, lambda: run.print(f"{clean(found.get('kind'))} {clean(found.get('id'))} is a member now"))
    return 0


def refuse(run: Run) -> int:
    person = person_of(run)
    found = mapping(person.read("mesh.refuse", {"code": clean(_waiting(run, person).get("code"))}))
    run.answer(found, lambda: run.print(f"{clean(found.get('kind'))} {clean(found.get('id'))} was turned away"))
    return 0


def _waiting(run: Run, person: Person) -> Mapping[str, Any]:
    """The request with the code that was typed, in one word or two."""
    wanted = "".join(char for char in "".join(run.args["code"]) if char.isdigit())
    if len(wanted) != 8:
        raise BadInput("name the code that the joiner's screen shows: bzzz mesh confirm 1234 5678")
    for row in rows_of(mapping(person.read("mesh.requests")), "requests"):
        if clean(row.get("code")).replace(" ", "") == wanted:
            return row
    raise NotFound("nobody waits with this code; bzzz mesh requests lists who does")


def uninvite(run: Run) -> int:
    if not _INVITATION.fullmatch(run.args["invitation"]):
        raise NotFound(f"{run.args['invitation'][:64]!r} is no invitation's id; bzzz mesh requests lists them")
    person_of(run).read("mesh.uninvite", {"invitation": run.args["invitation"]})
    run.answer({"invitation": run.args["invitation"]}, lambda: run.print("the invitation is void"))
    return 0
