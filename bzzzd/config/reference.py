"""docs/configuration.md, generated from the schema so that it cannot lag behind it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo

from bzzzd.config.roles import RoleRule, RolesFile
from bzzzd.config.rules import readers
from bzzzd.config.schema import REQUIRED_SECTIONS, Config
from bzzzd.config.settings import PROGRAMS
from bzzzd.config.settings import __doc__ as process_defaults
from bzzzd.config.words import expected, split

_HEAD = """# Configuration

This page is generated from the schema (`scripts/docs`); `bzzzd/config/` is its source.

Each process reads one YAML file: `/etc/bzzz/bzzzd.yaml`, `/etc/bzzz/agent.yaml` (`/etc/bzzz/agent@NAME.yaml` for
`bzzz-agent@NAME`) or `/etc/bzzz/hap.yaml`, and the `roles.yaml` beside it. `--config PATH`, or else
`BZZZ_CONFIG_PATH`, names another file. A missing file means the defaults, and the process says so in its log.

The sections {required} must be present; they may be empty, because every key has
a default. An unknown key, a wrong type or a clash is refused with file, line, key and what to do, and all faults of
all files are reported at once:

    bzzz config check [PATH…]

checks each file by itself and all of them together: one mesh protocol and one socket, no port twice on one address,
ids, keys and state folders of their own, roles that exist and that `bzzzd` grants. A process is refused when its own
file clashes with another one of its folder.

Paths are absolute or begin with `~/`. The socket is the one that `--socket` names, else `BZZZ_SOCKET`, else
`network.socket`. Files are plain YAML: aliases, anchors, tags, repeated keys and several documents are refused.

## Defaults that differ between processes

{defaults}
"""

_ROLES = """## roles.yaml

What each role of the mesh may do. `bzzz mesh policy apply` signs the file into the policy that all nodes enforce;
the file of one node can only narrow that. A rule is a word (`task`), a word and a name (`topic:alerts`), or begins
with one of these and ends in `*`.
"""


def reference() -> str:
    """The whole page."""
    required = ", ".join(f"`{name}`" for name in REQUIRED_SECTIONS)
    table = "\n".join(line for line in (process_defaults or "").splitlines() if line.startswith("|"))
    parts = [_HEAD.format(required=required, defaults=table), _section(Config, "Top of the file", ())]
    for field in msgspec.structs.fields(Config):
        base, _ = split(field.type)
        if _is_struct(base):
            parts.append(_section(base, f"`{field.name}`", (field.name,)))
    parts.append(_ROLES)
    parts.append(_table(RolesFile, ("roles",), scoped=False))
    parts.append(_section(RoleRule, "`roles.NAME`", (), scoped=False))
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _section(kind: type[Struct], title: str, path: tuple[str, ...], *, scoped: bool = True) -> str:
    text = [f"## {title}\n\n{inspect.getdoc(kind)}\n\n{_table(kind, path, scoped=scoped)}"]
    for field in msgspec.structs.fields(kind):
        base, _ = split(field.type)
        if path and get_origin(base) is tuple and _is_struct(item := get_args(base)[0]):
            where = f"`{'.'.join((*path, field.name))}[]`"
            text.append(f"### {where}\n\n{inspect.getdoc(item)}\n\n{_table(item, (*path, field.name))}")
    return "\n".join(text)


def _table(kind: type[Struct], path: tuple[str, ...], *, scoped: bool = True) -> str:
    return "\n".join(["| key | value | default | meaning |", "|---|---|---|---|", *_rows(kind, path, scoped)]) + "\n"


def _rows(kind: type[Struct], path: tuple[str, ...], scoped: bool) -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        base, metas = split(field.type)
        if scoped and not path and _is_struct(base):
            continue
        meaning = next((meta.description for meta in metas if meta.description), "")
        mine = readers((*path, field.name)) if scoped else ()
        if mine:
            meaning += f" ({', '.join(PROGRAMS[kind] for kind in mine)} only)"
        cells = (f"`{field.name}`", _value(field.type), _default(field), meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(kind: Any) -> str:
    base, _ = split(kind)
    if get_origin(base) is dict:
        key, item = get_args(base)
        return f"for {expected(key)}: {expected(item)}"
    return expected(kind)


def _default(field: FieldInfo) -> str:
    if field.default is not NODEFAULT:
        value = field.default
    elif field.default_factory is not NODEFAULT:
        value = field.default_factory()
    else:
        return "required"
    if value is None:
        return "by process"
    return f"`{msgspec.json.encode(value).decode()}`"


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)
