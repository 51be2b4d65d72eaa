"""mesh authority: the key that a mesh is made of, split among holders and put together again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bzzzd.cli.files import check_new_folder
from bzzzd.cli.output import clean, facts, mapping, rows_of, words
from bzzzd.cli.person import as_root_or_admin
from bzzzd.cli.run import Run
from bzzzd.crypto.keys import write_private
from bzzzd.errors import BadInput, Conflict, NotFound, StorageFailed

_SHARE_LIMIT = 32_768


def split(run: Run) -> int:
    """Deal the shares into files, see that the files are whole, and then offer to take the key off this machine."""
    holders = [_holder(text) for text in run.args["holders"]]
    count = run.args["shares"]
    if count is not None and count != len(holders):
        raise BadInput(f"{len(holders)} holders are named, and --shares says {count}; each holder gets one share")
    folder = Path(run.args["output"])
    check_new_folder(folder)
    found = mapping(
        as_root_or_admin(run, "mesh.authority_split", {"holders": holders, "threshold": run.args["threshold"]})
    )
    files = [_write(folder, row) for row in rows_of(found, "shares")]
    digests = [hashlib.sha256(_read(path)).hexdigest() for path in files]
    removed = run.args["yes"] or _agreed(run, len(files), int(found.get("threshold") or 0))
    if removed:
        as_root_or_admin(run, "mesh.authority_remove", {"digests": digests})
    shown = {
        "mesh_id": found.get("mesh_id"), "authority": found.get("authority"), "threshold": found.get("threshold"),
        "files": [str(path) for path in files], "removed": removed,
    }  # fmt: skip
    run.answer(shown, lambda: _show_split(run, shown))
    return 0


def _holder(text: str) -> dict[str, str]:
    name, equals, recipient = text.partition("=")
    if not name or (equals and not recipient.startswith("age1")):
        raise BadInput(f"{text!r} names no holder: expected a node of the mesh, or NAME=age1…")
    return {"name": name, "age": recipient} if equals else {"name": name}


def _write(folder: Path, row: Mapping[str, Any]) -> Path:
    data, holder = row.get("data"), clean(row.get("holder"))
    if not isinstance(data, bytes):
        raise StorageFailed("bzzzd sent a share without its bytes; nothing was taken away, try again")
    plain = "".join(char if char.isalnum() or char in "-_" else "-" for char in holder)
    path = folder / f"share-{row.get('index')}-{plain}.age"
    write_private(path, data)
    return path


def _agreed(run: Run, count: int, threshold: int) -> bool:
    return run.agreed(
        f"{count} shares are written; any {threshold} of them give the key back. Take the authority's key off this "
        "machine now? Without it, new administrators need it to be recovered first."
    )


def _show_split(run: Run, shown: Mapping[str, Any]) -> None:
    for path in shown["files"]:
        run.print(path)
    run.print(f"\ngive each holder theirs; any {shown['threshold']} give the key back (bzzz mesh authority recover)")
    if shown["removed"]:
        run.print("the authority's key is off this machine")
    else:
        run.print("the authority's key is still on this machine; --yes takes it away at the next split")


def recover(run: Run) -> int:
    shares = [_read(Path(name)) for name in run.args["files"]]
    if not shares:
        raise BadInput("name the files of the shares: bzzz mesh authority recover FILE…")
    try:
        found = mapping(as_root_or_admin(run, "mesh.authority_recover", {"shares": shares}))
    except BadInput as error:
        number = error.data.get("share")
        if isinstance(number, int) and 0 <= number < len(shares):
            raise BadInput(f"{run.args['files'][number]}: {error.message}", **error.data) from error
        raise
    if found.get("wrong"):
        run.say(f"not used, because damaged or of another split: the share of {words(found.get('wrong'))}")
    run.answer(found, lambda: run.print("the authority's key is on this machine; take it off again when you are done: "
                                        "bzzz mesh authority remove"))  # fmt: skip
    return 0


def remove(run: Run) -> int:
    found = mapping(as_root_or_admin(run, "mesh.authority_remove", {}))
    run.answer(found, lambda: run.print("the authority's key is off this machine"))
    return 0


def release(run: Run) -> int:
    if not run.args["to"]:
        raise BadInput("name the node that recovers the key: bzzz mesh authority release FILE --to NODE")
    target = Path(run.args["output"])
    if target.exists():
        raise Conflict(f"{target} exists already; name a new file", path=str(target))
    asked = {"share": _read(Path(run.args["file"])), "to": run.args["to"]}
    found = mapping(as_root_or_admin(run, "mesh.authority_release", asked))
    data = found.get("data")
    if not isinstance(data, bytes):
        raise StorageFailed("bzzzd sent no share; try again")
    write_private(target, data)
    shown = {"holder": found.get("holder"), "to": run.args["to"], "path": str(target)}
    run.answer(shown, lambda: run.print(f"{target}: the share of {clean(found.get('holder'))}, for {run.args['to']}"))
    return 0


def show(run: Run) -> int:
    found = mapping(run.call("mesh.authority_show"))
    run.answer(found, lambda: facts([("mesh", found.get("mesh_id")), ("authority", found.get("authority")),
                                     ("its key", "on this machine" if found.get("here") else "elsewhere")],
                                    run.out))  # fmt: skip
    return 0


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_SHARE_LIMIT)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", path=str(path)) from None
    except OSError as error:
        raise StorageFailed(f"cannot read {path}: {error.strerror}", path=str(path)) from error
