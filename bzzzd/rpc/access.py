"""Who may call what, as data: a rule on every method, and one pure decision about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from bzzzd.errors import NotAllowed, NotAttached


class Caller(Protocol):
    """What a decision needs to know of a caller; ``bzzzd.identity.caller.Caller`` has it."""

    @property
    def uid(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def capabilities(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Access:
    """A rule; every part that is given must hold, and within a part any one name is enough.

    ``guests`` opens a method to callers without a grant; ``greeting`` opens it before ``hello`` as well.
    """

    guests: bool = False
    kinds: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    capabilities: frozenset[str] = frozenset()
    greeting: bool = False

    @property
    def words(self) -> str:
        """The rule for readers: ``guest``, ``attached``, ``person or admin``, ``admin, role reviewer``."""
        if self.guests:
            return "guest"
        parts = [
            _either(self.kinds) if self.kinds else "",
            f"role {_either(self.roles)}" if self.roles else "",
            f"capability {_either(self.capabilities)}" if self.capabilities else "",
        ]
        return ", ".join(part for part in parts if part) or "attached"


def greeting() -> Access:
    """Before ``hello`` and after it, by anybody who can connect."""
    return Access(guests=True, greeting=True)


def guest() -> Access:
    """By anybody who can connect, once ``hello`` was said."""
    return Access(guests=True)


def attached() -> Access:
    """By every session that proved a grant."""
    return Access()


def kinds(*names: str) -> Access:
    """By sessions whose grant is of one of these kinds: ``agent``, ``person``, ``admin``, ``node``."""
    return Access(kinds=_some(names))


def role(*names: str, kinds: Iterable[str] = ()) -> Access:
    """By sessions with one of these roles (and of one of ``kinds``, when given)."""
    return Access(roles=_some(names), kinds=frozenset(kinds))


def capability(*names: str, kinds: Iterable[str] = ()) -> Access:
    """By sessions that hold one of these capabilities (and are of one of ``kinds``, when given)."""
    return Access(capabilities=_some(names), kinds=frozenset(kinds))


def allowed(rule: Access, caller: Caller, what: str = "this") -> NotAllowed | None:
    """``None`` when ``caller`` may; otherwise the refusal, whose message names the command that mends it.

    ``what`` is the method or stream in question, for the message.
    """
    if rule.guests:
        return None
    if caller.kind == "guest":
        return NotAttached(_for_guest(rule, caller, what), method=what, needs=rule.words)
    who = f"{caller.id} is {_a(caller.kind)} with role {caller.role or 'none'}"
    if rule.kinds and caller.kind not in rule.kinds:
        return NotAllowed(f"{what} is for {rule.words}, and {who}; {_mend_kind(rule, caller)}", **_data(rule, what))
    if rule.roles and caller.role not in rule.roles:
        return NotAllowed(
            f"{what} is for {rule.words}, and {who}; a grant with that role comes from: bzzz mesh invite",
            **_data(rule, what),
        )
    if rule.capabilities and not rule.capabilities & caller.capabilities:
        return NotAllowed(
            f"{what} is for {rule.words}, and {who}, which does not have it; see what roles may do with "
            "`bzzz mesh policy show`, and change it with: sudo bzzz mesh policy apply",
            **_data(rule, what),
        )
    return None


def _for_guest(rule: Access, caller: Caller, what: str) -> str:
    text = f"{what} needs a grant ({rule.words}), and this session of uid {caller.uid} has shown none;"
    if rule.kinds == {"agent"}:
        return f"{text} start the agent as a service, which gets one: sudo systemctl start bzzz-agent"
    return f"{text} an administrator gives a person one with: sudo bzzz mesh admin add USER"


def _mend_kind(rule: Access, caller: Caller) -> str:
    if "admin" in rule.kinds and caller.kind == "person":
        return f"make them an administrator with: sudo bzzz mesh admin add {caller.id}"
    if rule.kinds & {"person", "admin"}:
        return "have a person do it, from their own session: bzzz-hap"
    return "have an agent do it: bzzz agent list"


def _data(rule: Access, what: str) -> dict[str, str]:
    return {"method": what, "needs": rule.words}


def _some(names: Iterable[str]) -> frozenset[str]:
    found = frozenset(names)
    if not found:
        raise ValueError("an access rule names at least one kind, role or capability")
    return found


def _either(names: Iterable[str]) -> str:
    return " or ".join(sorted(names))


def _a(noun: str) -> str:
    return f"{'an' if noun[:1] in 'aeiou' else 'a'} {noun}"
