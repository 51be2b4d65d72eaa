"""mesh epoch: the role keys in force, and new ones."""

from __future__ import annotations

from typing import Any

from bzzzd.cli.output import facts, mapping, table, when, words
from bzzzd.cli.person import person_of
from bzzzd.cli.run import Run


def show(run: Run) -> int:
    found = mapping(person_of(run).read("mesh.epoch_show"))
    run.answer(found, lambda: _show(run, found))
    return 0


def _show(run: Run, found: Any) -> None:
    held, lacking = set(found.get("held") or ()), list(found.get("lacking") or ())
    facts(
        [
            ("epoch", found.get("number")), ("signed", when(found.get("at"))), ("by", found.get("by")),
            ("recovery", "by the authority's key" if found.get("recovery") else "none"),
            ("earlier epochs", "given to new holders" if found.get("earlier") else "not given to new holders"),
            ("earlier content", "being encrypted again" if found.get("encrypting") else "encrypted again"),
            ("not readable here", f"{found.get('kept')} versions" if found.get("kept") else "none"),
            ("lacking here", ", ".join(f"{row['role']} (epoch {row['epoch']})" for row in map(mapping, lacking))),
        ],
        run.out,
    )  # fmt: skip
    run.print()
    rows = [(role, words(role in held), key) for role, key in sorted(mapping(found.get("recipients")).items())]
    table(("ROLE", "SECRET HERE", "PUBLIC KEY"), rows, run.out)


def new(run: Run) -> int:
    """Every role gets a new key; who was removed before reads nothing that is written from now on."""
    wanted: dict[str, object] = {}
    if run.args["earlier"]:
        wanted["earlier"] = run.args["earlier"] == "yes"
    found = mapping(person_of(run).new_epoch(**wanted))
    run.answer(found, lambda: run.print(f"epoch {found.get('number')} is in force; nodes fetch their secrets now"))
    return 0
