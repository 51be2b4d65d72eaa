"""config check: every fault of every configuration file, without any process running."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from bzzzd.cli.output import clean
from bzzzd.cli.run import Run
from bzzzd.config.load import FOLDER, files_of, kind_of, load
from bzzzd.config.load import check as check_files
from bzzzd.config.settings import Settings, Surroundings
from bzzzd.errors import ConfigInvalid
from bzzzd.hmmm.folders import check_texts


def check(run: Run) -> int:
    """Exits 2 when there is a fault."""
    around = replace(Surroundings.here(), environ=run.environ)
    files = files_of(run.args["paths"], around)
    faults = check_files(run.args["paths"], around)
    texts, wrong = check_texts(sorted({file.parent for file in files}) or [FOLDER], [*_settings(files, around)], around)
    files, faults = [*files, *texts], [*faults, *wrong]
    answer = {"files": [str(file) for file in files], "faults": [fault.to_map() for fault in faults]}

    read = "1 file" if len(files) == 1 else f"{len(files)} files"

    def show() -> None:
        for fault in faults:
            run.print(clean(fault))
        if not files:
            run.print("no configuration file is here, so every default is in force")
        elif not faults:
            run.print(f"{read} read, no fault")

    run.answer(answer, show)
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        run.say(f"bzzz: {count} in {read}; mend what is listed, and check again ({ConfigInvalid.code})")
    return ConfigInvalid.exit_status if faults else 0


def _settings(files: Sequence[Path], around: Surroundings) -> Iterator[Settings]:
    """What agents and portals are told by those files that hold; the faults of the others are told already."""
    for file in files:
        kind = kind_of(file)
        if kind in ("agent", "hap"):
            try:
                yield load(kind, file, around=around)
            except ConfigInvalid:
                continue
