"""ledger: its state, a copy of it in a file, and back again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from bzzzd.cli.files import open_file, write_pieces
from bzzzd.cli.output import cell, facts, mapping, size
from bzzzd.cli.person import Person, person_of
from bzzzd.cli.run import Run
from bzzzd.errors import BadInput, Conflict, StorageFailed
from bzzzd.identity.charter import seal_document
from bzzzd.slurp.coordinator import Coordinator

LONG_S = 600.0
PIECE_BYTES = 1_048_576


def status(run: Run) -> int:
    found = mapping(person_of(run).read("ledger.status"))
    run.answer(found, lambda: facts([(str(name), cell(value)) for name, value in found.items()], run.out))
    return 0


def backup(run: Run) -> int:
    path = Path(run.args["path"])
    if path.exists():
        raise Conflict(f"{path} exists already; name a new file for the backup", path=str(path))
    total = write_pieces(path, backup_pieces(person_of(run)))
    run.answer(
        {"path": str(path), "bytes": total},
        lambda: run.print(f"{path}: {size(total)}; it holds signed commands and states, no content"),
    )
    return 0


def backup_pieces(person: Person) -> Iterator[bytes]:
    """The backup as bzzzd sends it. It makes one at the first call and forgets it after the last piece."""
    asked: dict[str, object] = {}
    offset = 0
    while True:
        found = mapping(person.read("ledger.backup", asked, timeout=LONG_S))
        data = found.get("data")
        if not isinstance(data, bytes) or found.get("offset") != offset or not (data or found.get("last")):
            raise StorageFailed("bzzzd sent a backup with a gap; start again: bzzz ledger backup PATH")
        yield data
        if found.get("last"):
            return
        offset += len(data)
        asked = {"backup": found.get("backup"), "offset": offset}


def restore(run: Run) -> int:
    with open_file(Path(run.args["path"])) as file:
        if not run.args["yes"] and not run.agreed("This replaces the ledger, and every lease ends. Restore?"):
            raise BadInput("nothing was restored: answer y, or add --yes")
        person = person_of(run)
        found, offset = mapping(None), 0
        data = file.read(PIECE_BYTES)
        while True:
            following = file.read(PIECE_BYTES)
            piece = {"data": data, "upload": str(found.get("upload") or ""), "offset": offset, "last": not following}
            # A piece is sent once: the same one again would no longer fit.
            found = mapping(run.client.call("ledger.restore", piece, timeout=LONG_S))
            if not following:
                break
            offset, data = offset + len(data), following
    status = mapping(found.get("status")) or found
    run.say(f"the ledger is that of {run.args['path']}, restored by {person.id}")
    run.answer(found, lambda: facts([(str(name), cell(value)) for name, value in status.items()], run.out))
    return 0


def promote(run: Run) -> int:
    person = person_of(run)
    now = mapping(person.read("ledger.succession"))
    node, number = now.get("node"), now.get("number")
    if not isinstance(node, bytes) or not isinstance(number, int):
        raise BadInput("bzzzd did not say which coordinator is named now; nothing was signed")
    record = Coordinator(number=number + 1, at=time.time(), node=node)
    envelope = seal_document(person.key, "coordinator", person.mesh_id, record)
    asked = {"envelope": envelope, "force": run.args["force"]}
    found = mapping(run.client.call("ledger.promote", asked, timeout=LONG_S))
    run.answer(found, lambda: run.print(f"{found.get('coordinator')} keeps the ledger, in term {found.get('term')}"))
    return 0
