"""A folder of YAML files of one shape, such as templates: what is sound, and the faults of the rest.

A faulty file is left out with its faults and takes nothing else with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from bzzzd.config.convert import convert
from bzzzd.config.faults import Fault, Problem, in_order
from bzzzd.config.source import read_source

S = TypeVar("S", bound=Struct)

MOST_FILES: Final = 200
MOST_BYTES: Final = 262_144


def read_folder(
    folders: Sequence[Path], kind: type[S], problems: Callable[[S], Iterable[Problem]]
) -> tuple[dict[str, S], list[Fault]]:
    """The files of ``folders`` by name without ``.yaml``; of two with one name the later folder's stands.

    A folder that does not exist is an empty one.
    """
    found: dict[str, S] = {}
    faults: list[Fault] = []
    for folder in folders:
        try:
            paths = sorted(islice((path for path in folder.iterdir() if path.suffix == ".yaml"), MOST_FILES + 1))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            faults.append(Fault(str(folder), 0, 0, "", f"cannot be read: {error.strerror}", "make it readable"))
            continue
        if len(paths) > MOST_FILES:
            faults.append(
                Fault(str(folder), 0, 0, "", f"there are more than {MOST_FILES} files", "take away what is not used")
            )
        for path in paths[:MOST_FILES]:
            one, wrong = _read(path, kind, problems)
            faults += wrong
            if one is not None:
                found[path.stem] = one
    return found, in_order(faults)


def _read(path: Path, kind: type[S], problems: Callable[[S], Iterable[Problem]]) -> tuple[S | None, list[Fault]]:
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        return None, [Fault(str(path), 0, 0, "", f"cannot be read: {error.strerror}", "make it a readable file")]
    if len(raw) > MOST_BYTES:
        return None, [Fault(str(path), 0, 0, "", f"it has more than {MOST_BYTES} bytes", "shorten it")]
    source = read_source(str(path), raw)
    if source.faults or not isinstance(source.data, dict):
        return None, list(source.faults) or [source.fault((), "expected keys with values", "write `title: …` lines")]
    one, faults = convert(source, kind)
    if one is None:
        return None, faults
    faults += [source.fault(broken.at, broken.message, broken.fix) for broken in problems(one)]
    return (None if faults else one), faults
