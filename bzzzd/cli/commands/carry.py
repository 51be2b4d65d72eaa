"""mesh export and import: what a node holds of its own, saved before it joins a mesh, and content brought back.

    FOLDER/manifest.json    every version: address, number, id, author, time, type, and its file
    FOLDER/content/N        the versions' content, decrypted as the exporting person may read it
    FOLDER/ledger.backup    the tasks as a record; a ledger belongs to its mesh and is not brought into another

What is imported are new versions that the importing person signs, in the old order. The manifest keeps who wrote
them first, and when. A version that was being imported when the command was cut off may come twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bzzzd.cli.commands.context import content_of
from bzzzd.cli.commands.ledger import backup_pieces
from bzzzd.cli.files import check_new_folder, file_size, make_folder, read_file, write_new, write_pieces
from bzzzd.cli.output import clean, mapping, number, rows_of, size, to_json
from bzzzd.cli.paging import PAGE
from bzzzd.cli.person import Person, person_of
from bzzzd.cli.run import Run
from bzzzd.cli.transfer import AT_ONCE_BYTES, receive_file, send_file
from bzzzd.errors import BadInput, Conflict, NotAllowed, NotFound
from bzzzd.ucxl.address import Temporal, parse

_MANIFEST = "manifest.json"
_DONE = "imported"
_FORMAT = "bzzz-export-1"


def export(run: Run) -> int:
    folder = Path(run.args["folder"])
    check_new_folder(folder)
    person = person_of(run)
    make_folder(folder / "content")
    write_pieces(folder / "ledger.backup", backup_pieces(person))
    versions: list[dict[str, Any]] = []
    closed: list[str] = []
    for place, row in enumerate(_versions(person), 1):
        name = f"content/{place:06d}"
        try:
            _save(run, person, row, folder / name)
        except (NotAllowed, NotFound) as error:
            closed.append(f"{row['at_version']}: {error.message}")
            continue
        versions.append({**row, "file": name})
    manifest = {"format": _FORMAT, "mesh_id": person.mesh_id, "by": person.id, "versions": versions, "closed": closed}
    write_new(folder / _MANIFEST, to_json(manifest).encode("utf-8"))
    for line in closed:
        run.say(f"not exported: {clean(line)}")
    shown = {"folder": str(folder), "versions": len(versions), "closed": len(closed)}
    told = f"{folder}: {len(versions)} versions of content, and the ledger as a record; it is not encrypted, so keep it"
    run.answer(shown, lambda: run.print(f"{told} private"))
    return 0


def _save(run: Run, person: Person, row: Mapping[str, Any], path: Path) -> None:
    """One version's content as a file; large content passes through in pieces."""
    if number(row.get("size")) > AT_ONCE_BYTES:
        receive_file(run, person, row["at_version"], path)
    else:
        write_new(path, content_of(mapping(person.read("context.get", {"address": row["at_version"]}))))


def _versions(person: Person) -> Iterator[dict[str, Any]]:
    """Every version of every address, the oldest of each first."""
    after: object = ""
    while after is not None:
        page = mapping(person.read("context.list", {"limit": PAGE, "after": after}))
        for entry in rows_of(page, "entries"):
            yield from _history(person, clean(entry.get("address")))
        after = page.get("next") or None


def _history(person: Person, address: str) -> Iterator[dict[str, Any]]:
    base = parse(address)
    after: object = 0
    while after is not None:
        page = mapping(person.read("context.history", {"address": base.base, "after": after}))
        for step in rows_of(page, "versions"):
            version = int(step.get("number") or 0)
            at_version = base.at(Temporal("specific", count=version)).canonical
            yield {
                "address": base.base, "at_version": at_version, "number": version,
                "version_id": step.get("version_id"), "author": step.get("author"), "at": step.get("at"),
                "content_type": step.get("content_type"), "size": step.get("size"),
            }  # fmt: skip
        after = page.get("next")


def load(run: Run) -> int:
    """Bring content back; what was imported before is not imported again."""
    folder = Path(run.args["folder"])
    manifest = _manifest(folder)
    person = person_of(run)
    if manifest.get("mesh_id") == person.mesh_id:
        raise Conflict("this was exported from the mesh that this node is in: its versions are here already")
    done = folder / _DONE / person.mesh_id
    make_folder(done)
    count = skipped = total = 0
    for row in rows_of(manifest, "versions"):
        mark = done / Path(clean(row.get("file"))).name
        if mark.exists():
            skipped += 1
            continue
        path, address = folder / "content" / mark.name, parse(clean(row.get("address")))
        length = file_size(path)
        if length > AT_ONCE_BYTES:
            send_file(run, person, address, path, clean(row.get("content_type")))
        else:
            person.put(address, read_file(path), clean(row.get("content_type")))
        write_new(mark, b"")
        count, total = count + 1, total + length
    shown = {"folder": str(folder), "imported": count, "before": skipped, "bytes": total}
    run.answer(shown, lambda: run.print(f"{count} versions ({size(total)}) are here now, signed by {person.id}"))
    return 0


def _manifest(folder: Path) -> Mapping[str, Any]:
    raw = read_file(folder / _MANIFEST)
    try:
        found = mapping(json.loads(raw))
    except ValueError:
        found = mapping(None)
    if found.get("format") != _FORMAT:
        raise BadInput(f"{folder / _MANIFEST} is no manifest of `bzzz mesh export`")
    return found
