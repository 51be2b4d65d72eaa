"""bzzz-hap: the portal of a person. Wiring alone: options, the first frame, then the loop.

The first frame comes from the cache in the state folder, before the loop, the client library and the signing
library are imported: they take longer than everything before them.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bzzzd.config.faults import Fault
from bzzzd.config.load import load
from bzzzd.config.options import answered, parser
from bzzzd.config.settings import Settings, Surroundings
from bzzzd.errors import BadInput, BzzzError
from bzzzd.hap.files.custom import Hands, faults, hands
from bzzzd.hap.files.state import StateFolder
from bzzzd.hap.links import can_link
from bzzzd.hap.screen import terminal
from bzzzd.hap.screen.painter import Painter
from bzzzd.hap.start import first_model, in_window
from bzzzd.hap.themes import fitting, theme
from bzzzd.hap.view import view

_LOG_BYTES = 1_048_576


def main(argv: Sequence[str] | None = None) -> int:
    """The program; gives its exit status."""
    given = options().parse_args(argv)
    try:
        status = answered("hap", given, lambda: _more_faults(given))
        return _run(given) if status is None else status
    except BzzzError as error:
        print(f"bzzz-hap: {error.message} ({error.code})", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130


def options() -> argparse.ArgumentParser:
    """The parser of its options; the manual is made from it."""
    made = parser("hap", "The BZZZ portal: tasks, agents, decisions and their versions, for a person.")
    mode = made.add_mutually_exclusive_group()
    mode.add_argument("--plain", action="store_true", help="lines of text, typed commands: for screen readers, scripts")
    mode.add_argument("--headless", action="store_true", help="JSON lines both ways: for programs")
    return made


def _more_faults(options: argparse.Namespace) -> list[Fault]:
    """The faults of the person's keys and themes, of their forms, and of the words with which agents ask."""
    from bzzzd.hmmm.folders import form_folders, library_folder, read_forms, read_library  # for the check alone

    settings, around = load("hap", options.config, socket=options.socket), Surroundings.here()
    forms = [*read_forms(form_folders(settings, around))[1], *read_library(library_folder(settings, around))[1]]
    return [*faults(settings), *forms]


def _run(options: argparse.Namespace) -> int:
    settings = load("hap", options.config, socket=options.socket)
    headless = options.headless or (settings.config.interface.mode == "headless" and not options.plain)
    web = settings.config.interface.mode == "web" and not (headless or options.plain)
    if web and not settings.http_port:
        raise BadInput("interface.mode is web, and ports.http_port is 0: set a port, or use --plain or --headless")
    mine = hands(settings)
    state = StateFolder(settings.state_dir)
    if not (web or headless or options.plain) and terminal.usable(os.environ, 0, 1):
        return _in_terminal(settings, state, mine)
    model = first_model(settings, state, mine.registry, time.time())
    from bzzzd.hap.run import run_lines, run_web

    if web:
        run_web(settings, model, state)
        return 0
    run_lines(settings, model, state, headless=headless)
    return 0


def _log_to_file(settings: Settings) -> None:
    """Warnings go to a file: on standard error they would be drawn over the window."""
    import logging  # after the first frame

    path = Path(settings.config.logging.file or settings.state_dir / "portal" / "portal.log")
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name(path.name + ".old"))
    logging.raiseExceptions = False  # a log that cannot be written must not be told in the window either
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)


def _in_terminal(settings: Settings, state: StateFolder, mine: Hands) -> int:
    window = terminal.Window(0, 1)

    def leave(_number: int, _frame: FrameType | None) -> None:
        window.give_back()  # here, because a `with` does not end what has only half begun
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)  # until the loop takes them over
    model = first_model(settings, state, mine.registry, time.time())
    face, kept = settings.config.interface, state.theme()
    name = kept if kept in mine.themes else face.theme or fitting(os.environ, terminal.colours(os.environ, 1))
    painter = Painter(
        theme(name, mine.themes), ascii_terminal=terminal.ascii_only(os.environ), link=can_link(os.environ)
    )
    window.mouse(face.mouse)
    with window:
        width, height = window.size()
        model = in_window(model, width, height, name, tuple(mine.themes), mouse=face.mouse)
        window.write(painter.paint(view(model, width, height)))
        _log_to_file(settings)
        from bzzzd.hap.run import run_terminal

        run_terminal(settings, model, state, window, painter, mine.themes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
