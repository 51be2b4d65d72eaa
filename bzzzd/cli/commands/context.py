"""context: versions of content at UCXL addresses, written by this person and read by their role."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bzzzd.cli.files import file_size, new_file, read_file
from bzzzd.cli.output import clean, mapping, readable, rows_of, size, table, when
from bzzzd.cli.paging import listed
from bzzzd.cli.person import person_of
from bzzzd.cli.run import Run
from bzzzd.cli.transfer import AT_ONCE_BYTES, receive, receive_file, send_file
from bzzzd.errors import BadInput
from bzzzd.ucxl.address import parse


def put(run: Run) -> int:
    address = parse(run.args["address"])
    if address.is_pattern:
        raise BadInput(f"{address} finds many things: write to an address without `any`")
    if address.temporal.type != "latest":
        raise BadInput(f"a new version is always the latest: write to {address.base}")
    if run.args["file"] and run.args["body"] is not None:
        raise BadInput("the content comes either from --body or from --file")
    if run.args["file"] and file_size(Path(run.args["file"])) > AT_ONCE_BYTES:
        found = send_file(run, person_of(run), address, Path(run.args["file"]), run.args["type"])
    else:
        content = read_file(Path(run.args["file"])) if run.args["file"] else run.text("body")
        found = mapping(person_of(run).put(address, content, run.args["type"]))
    run.answer(found, lambda: run.print(f"{clean(found.get('address'))}\nversion {clean(found.get('version_id'))}"))
    return 0


def get(run: Run) -> int:
    """The content alone goes to standard output, so that it can be piped; what is to be known of it, beside it."""
    address = parse(run.args["address"]).canonical
    if run.args["output"]:
        found, total = receive_file(run, person_of(run), address, Path(run.args["output"]))
        run.answer({**found, "content": None}, lambda: run.print(f"{run.args['output']}: {size(total)}"))
    else:
        found = mapping(person_of(run).read("context.get", {"address": address, "holders": run.json}))
        run.answer(found, lambda: _show(run, found))
    if found.get("complete") is False and not run.json:
        run.say("not every node that holds this address was reached: there may be a newer version")
    if found.get("conflict") and not run.json:
        run.say("there are several latest versions: bzzz context history shows them, a put after reading joins them")
    return 0


def export(run: Run) -> int:
    """A plain age file, for those named or for the roles that may read the version; nobody else can open it."""
    if not run.args["output"]:
        raise BadInput("name the new file: --output PATH")
    person = person_of(run)
    found, pieces = receive(run, person, parse(run.args["address"]).canonical)
    if run.args["to"]:
        wanted = {text.strip(): text.strip() for text in run.args["to"].split(",")}
    else:
        keys = mapping(mapping(person.read("mesh.epoch_show")).get("recipients"))
        readers = found.get("readers")
        wanted = {
            str(role): clean(keys[role]) for role in (readers if isinstance(readers, list) else ()) if role in keys
        }
    from bzzzd.crypto import age  # no other command needs it, and it takes a while to import

    with new_file(Path(run.args["output"])) as file:
        age.encrypt_pieces(pieces, file.write, list(wanted.values()))
        written = file.keep()
    told = {
        "output": run.args["output"], "size": written, "version_id": found.get("version_id"),
        "address": found.get("address"), "to": list(wanted),
    }  # fmt: skip
    run.answer(told, lambda: run.print(f"{run.args['output']}: {size(written)} for {', '.join(wanted)}"))
    return 0


def content_of(found: Mapping[str, Any]) -> bytes:
    """The bytes in an answer of ``context.get``."""
    content = found.get("content")
    return content if isinstance(content, bytes) else str(content or "").encode()


def _show(run: Run, found: Mapping[str, Any]) -> None:
    if run.out.isatty() or run.out is not sys.stdout:
        text = readable(content_of(found), clean(found.get("content_type")))
        run.print(text)
    else:
        run.bytes_out().write(content_of(found))
        run.bytes_out().flush()


def listing(run: Run) -> int:
    pattern = run.args["pattern"] and parse(run.args["pattern"]).canonical
    entries, following, complete = listed(person_of(run), "context.list", "entries", run.args["limit"], pattern=pattern)
    head = ("ADDRESS", "VERSIONS", "AUTHOR", "AT", "SIZE", "TYPE")
    run.answer(
        {"entries": entries, "next": following, "complete": complete},
        lambda: table(head, [_entry(row) for row in entries], run.out) if entries else run.print("nothing was found"),
    )
    if not complete and not run.json:
        run.say("not every node was reached: there may be more")
    return 0


def _entry(row: Mapping[str, Any]) -> tuple[object, ...]:
    versions = clean(row.get("versions"))
    conflict = " (conflict)" if row.get("conflict") else ""
    return (
        row.get("address"), versions + conflict, row.get("author"), when(row.get("at")), size(row.get("size")),
        row.get("content_type"),
    )  # fmt: skip


def history(run: Run) -> int:
    person, address = person_of(run), parse(run.args["address"]).canonical
    found: Mapping[str, Any] = {}
    rows: list[Mapping[str, Any]] = []
    after: object = 0
    while after is not None:
        asked = {"address": address, "after": after, "holders": True}
        found = mapping(person.read("context.history", asked))
        rows += rows_of(found, "versions")
        after = found.get("next")
    whole = {**found, "versions": rows}
    head = ("N", "AT", "AUTHOR", "SIZE", "HEAD", "HOLDERS", "VERSION")
    run.answer(whole, lambda: table(head, [_version(row) for row in rows], run.out))
    if found.get("complete") is False and not run.json:
        run.say("not every node that holds this address was reached: there may be more versions")
    if found.get("conflict") and not run.json:
        run.say("there are several latest versions (HEAD); a put after reading joins them")
    return 0


def _version(row: Mapping[str, Any]) -> tuple[object, ...]:
    head = "*" if row.get("head") else ""
    holders = row.get("holders")
    return (
        row.get("number"), when(row.get("at")), row.get("author"), size(row.get("size")), head,
        " ".join(map(clean, holders)) if isinstance(holders, list) else "", row.get("version_id"),
    )  # fmt: skip


def diff(run: Run) -> int:
    asked = {
        "address": parse(run.args["address"]).canonical,
        "a": run.args["a"] or "~~1",
        "b": run.args["b"] or "*^",
    }
    found = mapping(person_of(run).read("context.diff", asked))
    text = clean(found.get("diff"), lines=True)
    run.answer(found, lambda: print(text, end="" if not text or text.endswith("\n") else "\n", file=run.out))
    return 0


def announce(run: Run) -> int:
    address = parse(run.args["address"]).canonical
    found = mapping(person_of(run).act("context.announce", {"address": address}))
    run.answer(found, lambda: run.print(f"announced {address}"))
    return 0
