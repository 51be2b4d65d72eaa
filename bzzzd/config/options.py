"""The options that every program of the package has: ``--config``, ``--socket``, ``--check-config``, ``--version``."""

from __future__ import annotations

import argparse
import sys

from bzzzd import __version__
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


def answered(kind: BinaryType, options: argparse.Namespace) -> int | None:
    """Do what ``--version`` and ``--check-config`` ask, and give the exit status; ``None`` when neither was given."""
    if options.version:
        print(f"{PROGRAMS[kind]} {__version__}")
        return 0
    if not options.check_config:
        return None
    faults = check([options.config] if options.config else [])
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print(f"{PROGRAMS[kind]}: the configuration is sound")
    return 2 if faults else 0
