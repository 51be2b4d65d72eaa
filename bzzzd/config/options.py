"""The options that every program of the package has: ``--config``, ``--socket``, ``--check-config``, ``--version``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from bzzzd import __version__
from bzzzd.config.faults import Fault
from bzzzd.config.load import FOLDER, check
from bzzzd.config.schema import BinaryType
from bzzzd.config.settings import FILES, PROGRAMS


def parser(kind: BinaryType, description: str) -> argparse.ArgumentParser:
    """The parser of a program, to which it may add options of its own."""
    verb = "to serve" if kind == "daemon" else "of bzzzd"
    made = argparse.ArgumentParser(prog=PROGRAMS[kind], description=description)
    made.add_argument("--config", metavar="PATH", help=f"configuration file (default {FOLDER / FILES[kind]})")
    made.add_argument("--socket", metavar="PATH", help=f"unix socket {verb} (default from the configuration)")
    made.add_argument("--check-config", action="store_true", help="check the configuration, and end")
    made.add_argument("--version", action="store_true", help="show the version, and end")
    return made


def answered(kind: BinaryType, options: argparse.Namespace, more: Callable[[], Sequence[Fault]] = tuple) -> int | None:
    """Do what ``--version`` and ``--check-config`` ask, and give the exit status; ``None`` when neither was given.

    ``more`` gives the faults of what a sound configuration names, such as a folder of templates.
    """
    if options.version:
        print(f"{PROGRAMS[kind]} {__version__}")
        return 0
    if not options.check_config:
        return None
    faults = check([options.config] if options.config else [])
    faults = faults or list(more())
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{PROGRAMS[kind]}: the configuration is sound")
    return 2 if faults else 0
