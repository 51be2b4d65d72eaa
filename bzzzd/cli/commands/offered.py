"""Commands that not every bzzzd has: asked for by name, called with the arguments as they are."""

from __future__ import annotations

from typing import Any

from bzzzd.cli.output import cell, facts, mapping
from bzzzd.cli.person import person_of
from bzzzd.cli.run import Run
from bzzzd.cli.table import COMMON
from bzzzd.errors import NotAttached, Unavailable, UnknownMethod

_COMMON = frozenset(arg.key for arg in COMMON)


def run(run: Run) -> int:
    """Ask, if bzzzd offers it; else say what it does offer."""
    command = run.command
    offered = [str(name) for name in run.client.hello().get("extensions") or ()]
    group = command.method.partition(".")[0]
    if command.extension not in offered and group not in offered:
        raise _missing(run, offered)
    given = {name: value for name, value in run.args.items() if name not in _COMMON and value is not None}
    try:
        found = mapping(_ask(run, command.method, given))
    except UnknownMethod as error:
        raise _missing(run, offered) from error
    run.answer(found, lambda: facts([(str(name), cell(value)) for name, value in found.items()], run.out))
    return 0


def _ask(run: Run, method: str, given: dict[str, Any]) -> Any:
    try:
        return run.call(method, given, effects=True)
    except NotAttached:
        person_of(run)
        return run.call(method, given, effects=True)


def _missing(run: Run, offered: list[str]) -> Unavailable:
    name = run.command.name
    return Unavailable(
        f"this bzzzd does not offer `{name}` (extension {run.command.extension}); it offers "
        f"{', '.join(sorted(offered)) or 'no extension'}. Upgrade bzzzd, restart it, and try again",
        extension=run.command.extension,
    )
