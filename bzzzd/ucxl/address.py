"""UCXL addresses: parsing, the canonical form, and patterns with ``any``.

    ucxl://agent:role@project:task/temporal/path

``docs/ucxl.md`` pins the grammar with a table of vectors, which the tests read. One expression accepts;
only when it does not, the address is walked by hand to find the first character that cannot be right.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Literal, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from bzzzd.errors import InvalidAddress, InvalidTemporal

SCHEME: Final = "ucxl://"
WILDCARD: Final = "any"
MAX_NAME: Final = 64
MAX_COUNT_DIGITS: Final = 9

_NAME: Final = r"[A-Za-z0-9_-]{1,64}"
_COUNT: Final = r"(?:0|[1-9][0-9]{0,8})"
_SEGMENT: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.-]+"
_ADDRESS: Final = re.compile(
    rf"ucxl://({_NAME}):({_NAME})@({_NAME}):({_NAME})"
    rf"/(?:(\*\^)|(\*~)({_COUNT})?|(~~|\^\^)({_COUNT}))(?:/({_SEGMENT}(?:/{_SEGMENT})*)?)?\Z"
)

_NAME_CHARS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_PATH_CHARS: Final = _NAME_CHARS | {"."}
_DIGITS: Final = frozenset("0123456789")
_SHAPE: Final = "an address looks like ucxl://agent:role@project:task/*^/path"
_TEMPORALS: Final = "it is one of *^, *~, *~N, ~~N, ^^N"


class Temporal(Struct, frozen=True):
    """Which version: the latest, any, number ``count``, or ``count`` steps before the latest or after the first."""

    type: Literal["latest", "any", "specific", "relative"]
    direction: Literal["backward", "forward"] | None = None
    count: int | None = None

    @property
    def canonical(self) -> str:
        if self.type == "latest":
            return "*^"
        if self.type == "any":
            return "*~"
        if self.type == "specific":
            return f"*~{self.count}"
        return f"{'~~' if self.direction == 'backward' else '^^'}{self.count}"


LATEST: Final = Temporal("latest")
ANY: Final = Temporal("any")


class Address(Struct, frozen=True):
    """A parsed address; equal when the canonical forms are."""

    agent: str
    role: str
    project: str
    task: str
    temporal: Temporal
    path: str = ""

    @property
    def canonical(self) -> str:
        """The one way to write it; without a path it ends in ``/``."""
        return f"ucxl://{self.agent}:{self.role}@{self.project}:{self.task}/{self.temporal.canonical}/{self.path}"

    @property
    def base(self) -> str:
        """The canonical form with ``*^``: it names the thing without saying when."""
        return f"ucxl://{self.agent}:{self.role}@{self.project}:{self.task}/*^/{self.path}"

    def at(self, temporal: Temporal) -> Address:
        """The same thing at another time."""
        return replace(self, temporal=temporal)

    @property
    def is_pattern(self) -> bool:
        """Whether a part is ``any``: such an address finds things and names none."""
        return WILDCARD in (self.agent, self.role, self.project, self.task)

    def to_map(self, raw: str | None = None) -> dict[str, Any]:
        """The JSON fields; ``raw`` is the text that was parsed, where it is known."""
        return {
            "agent": self.agent,
            "role": self.role,
            "project": self.project,
            "task": self.task,
            "temporal_segment": {
                "type": self.temporal.type,
                "direction": self.temporal.direction,
                "count": self.temporal.count,
            },
            "path": self.path,
            "raw": self.canonical if raw is None else raw,
            "canonical": self.canonical,
        }

    def __str__(self) -> str:
        return self.canonical


def parse(text: str) -> Address:
    """Parse an address; ``InvalidAddress`` or ``InvalidTemporal`` has the fault's offset in ``data["position"]``."""
    return _parsed(text)


@lru_cache(maxsize=1024)  # one request comes to the same address several times
def _parsed(text: str) -> Address:
    found = _ADDRESS.match(text)
    if found is None:
        _Walk(text).refuse()
    agent, role, project, task, latest, any_, specific, relative, steps, path = found.groups()
    if latest:
        temporal = LATEST
    elif any_:
        temporal = ANY if specific is None else Temporal("specific", None, int(specific))
    else:
        temporal = Temporal("relative", "backward" if relative == "~~" else "forward", int(steps))
    return Address(agent, role, project, task, temporal, path or "")


def build(agent: str, role: str, project: str, task: str, path: str = "", temporal: Temporal = LATEST) -> Address:
    """An address from its parts; parts that do not fit the grammar raise as in ``parse``."""
    made = Address(agent, role, project, task, temporal, path)
    if (parsed := parse(made.canonical)) != made:
        raise InvalidAddress(f"these parts do not make one address: {_shown(parsed.canonical)}", position=len(SCHEME))
    return made


def matches(pattern: Address, address: Address) -> bool:
    """Whether ``address`` is one that ``pattern`` looks for.

    ``any`` stands for every value; a pattern's path also finds what lies below it, so without a path it finds all.
    Time is not compared: which version is meant is settled where the versions are known.
    """
    return (
        pattern.agent in (WILDCARD, address.agent)
        and pattern.role in (WILDCARD, address.role)
        and pattern.project in (WILDCARD, address.project)
        and pattern.task in (WILDCARD, address.task)
        and (not pattern.path or address.path == pattern.path or address.path.startswith(pattern.path + "/"))
    )


def _shown(text: str) -> str:
    """Text for a message: printable, and cut when long."""
    clean = ascii(text)
    return clean if len(clean) <= 100 else f"{clean[:99]}…"


class _Walk:
    """Finds the first fault of a text that is no address."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def refuse(self) -> NoReturn:
        self._scheme()
        for what, end in (("agent", ":"), ("role", "@"), ("project", ":"), ("task", "/")):
            self._name(what, end)
        self._temporal()
        self._path()
        raise AssertionError(f"no fault found in {_shown(self.text)}")

    def _scheme(self) -> None:
        for index, char in enumerate(SCHEME):
            if self.text[index : index + 1] != char:
                self.at = index
                self._fault(f"it must begin with {SCHEME}")
        self.at = len(SCHEME)

    def _name(self, what: str, end: str) -> None:
        start = self.at
        while self._here() in _NAME_CHARS:
            self.at += 1
            if self.at - start > MAX_NAME:
                self.at = start + MAX_NAME
                self._fault(f"the {what} is longer than {MAX_NAME} characters")
        if self.at == start:
            self._fault(f"the {what} must begin here with one of A-Z a-z 0-9 _ -")
        if self._here() != end:
            self._fault(f'expected "{end}" after the {what}, or one of A-Z a-z 0-9 _ -')
        self.at += 1

    def _temporal(self) -> None:
        kind = self.text[self.at : self.at + 2]
        if kind not in ("*^", "*~", "~~", "^^"):
            if kind[:1] in ("*", "~", "^"):
                self.at += 1
            self._fault(f"the temporal part is not complete: {_TEMPORALS}", temporal=True)
        self.at += 2
        start = self.at
        while self._here() in _DIGITS:
            self.at += 1
        digits = self.text[start : self.at]
        if kind == "*^" and digits:
            self.at = start
            self._fault("*^ takes no number", temporal=True)
        if kind in ("~~", "^^") and not digits:
            self._fault(f"{kind} needs a number, like {kind}1", temporal=True)
        if len(digits) > 1 and digits[0] == "0":
            self.at = start
            self._fault("a number has no leading zeros", temporal=True)
        if len(digits) > MAX_COUNT_DIGITS:
            self.at = start + MAX_COUNT_DIGITS
            self._fault("the number is over 999999999", temporal=True)
        if self._here() not in ("", "/"):
            self._fault(f"the temporal part must end here: {_TEMPORALS}", temporal=True)

    def _path(self) -> None:
        self.at += 1
        while self.at <= len(self.text):
            start = self.at
            while self._here() in _PATH_CHARS:
                self.at += 1
            segment = self.text[start : self.at]
            if self._here() not in ("", "/"):
                self._fault("a path has only A-Z a-z 0-9 _ - . and /")
            if segment in ("", ".", ".."):
                self.at = start
                self._fault(f'a path has no segment "{segment}"')
            self.at += 1

    def _here(self) -> str:
        return self.text[self.at : self.at + 1]

    def _fault(self, message: str, *, temporal: bool = False) -> NoReturn:
        kind = InvalidTemporal if temporal else InvalidAddress
        found = f"got {_shown(self._here())}" if self._here() else "but it ends"
        raise kind(
            f"{_shown(self.text)} is no UCXL address: at position {self.at}, {message}, {found}; {_SHAPE}",
            position=self.at,
        )
