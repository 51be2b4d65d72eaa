"""ledger: its state, a copy of it in a file, and back again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bzzzd.cli.files import read_file, write_new
from bzzzd.cli.output import clean, facts, mapping, size, words
from bzzzd.cli.person import person_of
from bzzzd.cli.run import Run
from bzzzd.errors import BadInput, StorageFailed

LONG_S = 600.0


def status(run: Run) -> int:
    found = mapping(person_of(run).read("ledger.status"))
    run.answer(found, lambda: facts([(str(name), _cell(value)) for name, value in found.items()], run.out))
    return 0


def _cell(value: object) -> str:
    counts = mapping(value)
    return ", ".join(f"{clean(name)} {clean(count)}" for name, count in counts.items()) if counts else words(value)


def backup(run: Run) -> int:
    path = Path(run.args["path"])
    if path.exists():
        raise BadInput(f"{path} exists already; name a new file for the backup")
    content = mapping(person_of(run).read("ledger.backup", timeout=LONG_S)).get("content")
    if not isinstance(content, bytes):
        raise StorageFailed("bzzzd sent no backup; look for the reason with: bzzz logs")
    write_new(path, content)
    run.answer(
        {"path": str(path), "bytes": len(content)},
        lambda: run.print(f"{path}: {size(len(content))}; it holds signed commands and states, no content"),
    )
    return 0


def restore(run: Run) -> int:
    content = read_file(Path(run.args["path"]))
    if not run.args["yes"] and not _agreed(run):
        raise BadInput("nothing was restored: answer y, or add --yes")
    found = mapping(person_of(run).act("ledger.restore", {"content": content}, timeout=LONG_S))
    run.answer(
        found,
        lambda: facts([("restored", run.args["path"]), *((str(k), _cell(v)) for k, v in found.items())], run.out),
    )
    return 0


def _agreed(run: Run) -> bool:
    if not os.isatty(sys.stdin.fileno()):
        return False
    print("This replaces the ledger, and every lease ends. Restore? [y/N] ", end="", file=run.err, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
