"""Rules across the files of one machine: mesh compatibility, ports, identities, keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from msgspec import Struct

from bzzzd.config.faults import Fault, Path
from bzzzd.config.rules import bindings
from bzzzd.config.settings import Settings
from bzzzd.config.source import Source


class Member(Struct, frozen=True):
    """One process's file: what it says and where, and what follows from it."""

    source: Source
    settings: Settings

    def fault(self, path: Path, message: str, fix: str) -> Fault:
        return self.source.fault(path, message, fix)


def across(members: Sequence[Member]) -> Iterator[Fault]:
    """Every clash between two files, and of one file with itself, reported at the later place."""
    yield from _ports(members)
    for first, second in combinations(members, 2):
        yield from _mesh(first, second)
        yield from _identities(first, second)
        yield from _keys(first, second)
    yield from _grants(members)


def _name(member: Member) -> str:
    return member.settings.path.name


def _mesh(first: Member, second: Member) -> Iterator[Fault]:
    a, b = first.settings.config.network, second.settings.config.network
    if a.mesh_protocol != b.mesh_protocol:
        yield second.fault(
            ("network", "mesh_protocol"),
            f"mesh protocol {b.mesh_protocol} is not that of {_name(first)} ({a.mesh_protocol})",
            "set the same number in both",
        )
    # As the processes will use it: --socket and BZZZ_SOCKET win over the files.
    if first.settings.socket != second.settings.socket:
        yield second.fault(
            ("network", "socket"),
            f"{b.socket} is not the socket of {_name(first)} ({a.socket})",
            "set the same path in both, or they will not meet",
        )


def _ports(members: Sequence[Member]) -> Iterator[Fault]:
    taken = [(member, path, binding) for member in members for path, binding in bindings(member.settings.config)]
    for index, (member, path, binding) in enumerate(taken):
        for other, other_path, other_binding in taken[:index]:
            if binding.overlaps(other_binding):
                where = f"{_name(other)}: " if other is not member else ""
                yield member.fault(
                    path,
                    f"port {binding.port} on {binding.address} is taken by {where}{'.'.join(map(str, other_path))}",
                    "choose another port, or 0 to turn it off" if path[0] == "ports" else "choose another port",
                )
                break


def _identities(first: Member, second: Member) -> Iterator[Fault]:
    mine, other = second.settings.config.agent.id, first.settings.config.agent.id
    if mine == other:
        yield second.fault(("agent", "id"), f"{_name(first)} has the id {mine} too", "give each process its own id")


def _keys(first: Member, second: Member) -> Iterator[Fault]:
    for key, mine, other in (
        (("security", "key_file"), second.settings.key_file, first.settings.key_file),
        (("storage", "state_dir"), second.settings.state_dir, first.settings.state_dir),
    ):
        if mine == other:
            what = "key file" if key[1] == "key_file" else "state folder"
            yield second.fault(key, f"{mine} is the {what} of {_name(first)} too", f"give each process its own {what}")


def _grants(members: Sequence[Member]) -> Iterator[Fault]:
    """An agent's role must be one that bzzzd grants here, or attaching is refused at run time."""
    daemons = [member for member in members if member.settings.binary_type == "daemon"]
    agents = [member for member in members if member.settings.binary_type == "agent"]
    if len(daemons) != 1:
        return
    (daemon,) = daemons
    security = daemon.settings.config.security
    for agent in agents:
        me = agent.settings.config.agent
        granted = sorted({local.role for local in security.agents if local.id in ("*", me.id)})
        if not security.development and me.role not in granted:
            yield agent.fault(
                ("agent", "role"),
                f"{_name(daemon)} grants {me.id} the roles {', '.join(granted) or 'none'}, not {me.role}",
                f"use one of these, or add the agent to security.agents in {_name(daemon)}",
            )
