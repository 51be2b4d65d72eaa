"""The shape of roles.yaml: what each role may read, write, do, approve and decrypt.

A *resource* is a word, or a word and a name: ``task``, ``context``, ``topic:alerts``. A rule ends in ``*``
to mean everything that begins so. *Acts* are what an agent may do on its own (``command``, ``external``,
``answer``); those under ``approve`` need a person's answer first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from bzzzd.config.faults import Problem

AuthorityLevel = Literal["master", "decision", "coordination", "suggestion", "read_only"]
AUTHORITY_LEVELS: tuple[AuthorityLevel, ...] = ("master", "decision", "coordination", "suggestion", "read_only")

# What agents do, as policy knows it: one word for each kind of handler (``agent.handlers`` of agent.yaml).
ACTS: tuple[str, ...] = ("answer", "command", "external")

RoleName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z", title="a name of 1 to 64 of A-Z a-z 0-9 _ -")]
Rule = Annotated[
    str, Meta(pattern=r"^(\*|[a-z0-9_.-]+(:[A-Za-z0-9_./-]*)?\*?)\Z", title="a word, word:name, or either with *")
]
ContentRule = Annotated[
    str, Meta(pattern=r"^(\*|[a-z0-9.+/-]+\*?)\Z", title="a content type like text/plain, text/* or *")
]


def _doc(text: str) -> Meta:
    return Meta(description=text)


class RoleRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the members of one role may do."""

    authority: Annotated[AuthorityLevel, _doc("how far its word goes; a plan's conflicts are settled by level")]
    capabilities: Annotated[tuple[RoleName, ...], _doc("capabilities its members may offer; `any` for all")] = ()
    read: Annotated[tuple[Rule, ...], _doc("resources its members may read")] = ()
    write: Annotated[tuple[Rule, ...], _doc("resources its members may change")] = ()
    act: Annotated[tuple[Rule, ...], _doc("acts its members may do without asking")] = ()
    approve: Annotated[tuple[Rule, ...], _doc("acts its members may do once a person has approved them")] = ()
    plan_s: Annotated[
        Annotated[float, Meta(ge=0, le=86400)],
        _doc("seconds in which others may object to the plans of its agents before they act; 0: they need show none"),
    ] = 0.0
    decrypts: Annotated[tuple[RoleName, ...], _doc("roles whose content its members can read, besides their own")] = ()


class Escalate(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A later step of a question: whom it asks as well, when nobody has answered until then."""

    after_s: Annotated[float, Meta(ge=1, le=31 * 86400), _doc("seconds after the question was asked")]
    to: Annotated[tuple[RoleName, ...], Meta(min_length=1, max_length=32), _doc("roles that are asked as well")]


class ApprovalRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How people are asked before an act that needs their approval."""

    by: Annotated[tuple[RoleName, ...], Meta(min_length=1, max_length=32), _doc("roles whose members may answer")]
    quorum: Annotated[int, Meta(ge=1, le=16), _doc("how many people have to approve; one who denies ends it")] = 1
    risk: Annotated[
        Literal["low", "medium", "high"], _doc("`high` makes people confirm with the question's digest")
    ] = "medium"
    expires_s: Annotated[
        float, Meta(ge=1, le=366 * 86400), _doc("seconds until the question ends without an answer, which denies")
    ] = 86400.0
    escalate: Annotated[tuple[Escalate, ...], Meta(max_length=8), _doc("who else is asked, and when")] = ()


class RolesFile(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The policy of a mesh, as an administrator writes it."""

    version: Annotated[Literal[1], _doc("major number of this format")]
    roles: Annotated[dict[RoleName, RoleRule], _doc("the roles by name")]
    guests: Annotated[
        tuple[Rule, ...], _doc("methods that a local caller without a grant may call, like `status` or `task.list`")
    ] = ()
    approvals: Annotated[
        dict[Rule, ApprovalRule],
        _doc(
            "for each act: who is asked before it, and how; the longest rule that fits counts, and where none fits, "
            "the roles of authority `master` and `decision` that may write prompts are asked, and one is enough"
        ),
    ] = {}
    content: Annotated[
        dict[ContentRule, tuple[RoleName, ...]],
        _doc(
            "for each content type: the roles that read it besides its author's; the longest rule that fits counts, "
            "and where none fits, `decrypts` decides"
        ),
    ] = {}


def problems(file: RolesFile) -> Iterator[Problem]:
    """Broken rules that the shape alone does not show: roles that nobody defined, nobody in charge."""
    known = ", ".join(sorted(file.roles)) or "none"
    for name, rule in file.roles.items():
        for index, other in enumerate(rule.decrypts):
            if other not in file.roles:
                yield Problem(
                    ("roles", name, "decrypts", index),
                    f"role {other} is not defined here",
                    f"use one of the roles of this file ({known}), or define {other}",
                )
        both = sorted(set(rule.act) & set(rule.approve))
        if both:
            yield Problem(
                ("roles", name, "approve"),
                f"{', '.join(both)} stands under both `act` and `approve`",
                "keep it under `approve` if a person has to agree first, else under `act`",
            )
    for act, asked in file.approvals.items():
        steps = (((*("approvals", act), "escalate", at, "to"), step.to) for at, step in enumerate(asked.escalate))
        for where, names in ((("approvals", act, "by"), asked.by), *steps):
            for index, other in enumerate(names):
                if other not in file.roles:
                    yield Problem(
                        (*where, index),
                        f"role {other} is not defined here",
                        f"use one of the roles of this file ({known}), or define {other}",
                    )
    for pattern, readers in file.content.items():
        for index, other in enumerate(readers):
            if other not in file.roles:
                yield Problem(
                    ("content", pattern, index),
                    f"role {other} is not defined here",
                    f"use one of the roles of this file ({known}), or define {other}",
                )
    if not any(rule.authority == "master" for rule in file.roles.values()):
        yield Problem(("roles",), "no role has the authority `master`", "give one role `authority: master`")


def default_roles() -> RolesFile:
    """The roles of a machine without a roles.yaml: those that etc/roles.yaml ships."""
    topics, services = "topic:*", "service:*"
    members = ("worker", "reviewer", "observer")
    return RolesFile(
        version=1,
        roles={
            "admin": RoleRule(
                authority="master",
                capabilities=("any",),
                read=("*",),
                write=("*",),
                act=("*",),
                decrypts=("operator", "coordinator", *members),
            ),
            "operator": RoleRule(
                authority="decision",
                capabilities=("any",),
                read=("*",),
                write=("task", "context", "thread", topics, services, "prompt"),
                act=("answer",),
                decrypts=("coordinator", *members),
            ),
            "coordinator": RoleRule(
                authority="coordination",
                capabilities=("any",),
                read=("task", "context", "thread", "agent", "peer", topics, services, "prompt"),
                write=("task", "context", "thread", topics, services, "prompt"),
                act=("answer",),
                approve=("command", "external"),
                decrypts=members,
            ),
            "worker": RoleRule(
                authority="suggestion",
                capabilities=("any",),
                read=("task", "context", "thread", "agent", topics, services, "prompt"),
                write=("task", "context", "thread", topics, services, "prompt"),
                act=("answer", "command", "external"),
                decrypts=("observer",),
            ),
            "reviewer": RoleRule(
                authority="suggestion",
                capabilities=("review", "summarise", "answer"),
                read=("task", "context", "thread", "agent", topics, "prompt"),
                write=("context", "thread", topics, "prompt"),
                act=("answer",),
                decrypts=("worker", "observer"),
            ),
            "observer": RoleRule(authority="read_only", read=("task", "thread", "agent", "peer", topics)),
            "node": RoleRule(authority="read_only", read=("task", "context", "agent", "peer", topics), write=(topics,)),
        },
        guests=("status", "health", "peers", "agent.list", "agent.show", "doctor", "task.ask"),
        content={
            "application/x-bzzz-brief": ("admin", "operator", "coordinator", "worker", "reviewer"),
            "application/x-bzzz-prompt": ("admin", "operator", "coordinator", "worker", "reviewer"),
            "application/x-bzzz-answer": ("admin", "operator", "coordinator", "worker", "reviewer"),
            "application/x-bzzz-hmmm": ("admin", "operator", "coordinator", "worker", "reviewer"),
        },
    )
