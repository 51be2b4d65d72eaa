"""The portal's life between its first frame and its last: core, session and surface, put together and taken apart."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from getpass import getpass

from bzzzd.config.settings import Settings, Surroundings
from bzzzd.errors import BzzzError, KeyLocked
from bzzzd.hap.core import Core
from bzzzd.hap.files.outbox import Outbox
from bzzzd.hap.files.state import StateFolder
from bzzzd.hap.lines.surface import Headless, LineSurface, Plain, Speaker
from bzzzd.hap.link.session import Session
from bzzzd.hap.link.signing import Person
from bzzzd.hap.messages import Sheets
from bzzzd.hap.screen.keys import Decoder
from bzzzd.hap.screen.painter import Painter
from bzzzd.hap.screen.surface import TerminalSurface
from bzzzd.hap.screen.terminal import Window, ascii_only, blessed_namer
from bzzzd.hap.text import clean
from bzzzd.hap.themes import Theme
from bzzzd.hap.values.model import Model
from bzzzd.hmmm.folders import form_folders, read_forms
from bzzzd.identity.pins import pins_in

_TRIES = 3


def _person(settings: Settings) -> tuple[Person | None, str]:
    """The person with their key, or what keeps it from being used."""
    me, own = settings.config.agent, not settings.config.security.key_file
    try:
        pins = pins_in(settings.state_dir, settings.socket)
        return Person(settings.key_file, settings.grants_dir, me.id, me.role, pins, own=own), ""
    except BzzzError as error:
        return None, error.message


def _ask_passphrase(person: Person | None) -> None:
    """Portals of lines have no field for it: the terminal, where there is one, is asked before the first line."""
    if person is None or not person.locked or not os.isatty(0):
        return
    for _ in range(_TRIES):
        try:
            person.unlock(getpass(f"Passphrase of {person.locked}: ", stream=sys.stderr))
            return
        except EOFError:
            return
        except KeyLocked as error:
            print(f"warning: {error.message}", file=sys.stderr)


async def _take_sheets(settings: Settings, core: Core) -> None:
    """Read the forms, off the loop; what is wrong with a file is shown, so it is cleaned."""
    found, faults = await asyncio.to_thread(read_forms, form_folders(settings, Surroundings.here()))
    core.send(Sheets(found, tuple(clean(fault, 500) for fault in faults)))


@asynccontextmanager
async def _running(
    settings: Settings, model: Model, state: StateFolder, *, service: bool = False, lines: bool = False
) -> AsyncIterator[tuple[Core, Session]]:
    """``service``: it runs as its configuration's mode says, and not because a person asked for lines."""
    core = Core(model, state, time.time)
    person, mend = _person(settings)
    if lines:
        _ask_passphrase(person)
    session = Session(settings.socket, person, mend, core.send, Outbox(settings.state_dir / "portal" / "outbox"))
    sheets = asyncio.create_task(_take_sheets(settings, core))
    try:
        async with _health(settings, core) if service else nullcontext():
            yield core, session
    finally:
        await sheets
        await session.close()
        await core.close()


@asynccontextmanager
async def _health(settings: Settings, core: Core) -> AsyncIterator[None]:
    """The health pages, where a port is configured: a service mode has one, a portal in a terminal none."""
    if not settings.health_port:
        yield
        return
    from bzzzd.hap.probe import health_service  # aiohttp is large

    service = health_service(settings, lambda: core.model)
    await service.start()
    try:
        yield
    finally:
        await service.stop()


async def in_terminal(
    settings: Settings, model: Model, state: StateFolder, window: Window, painter: Painter, themes: Mapping[str, Theme]
) -> None:
    """The portal in a window that shows its first frame already."""
    decoder = Decoder(blessed_namer(os.environ), settings.max_message_bytes)
    async with _running(settings, model, state) as (core, session):
        surface = TerminalSurface(window, painter, decoder, core, themes)
        core.connect(surface, session)
        with surface:
            session.start()
            # What is there by now stays; walking over all of it again and again would hold up a key.
            gc.freeze()
            await core.ended.wait()
            window.give_back()  # now, not after the files and the connection are closed


async def in_lines(settings: Settings, model: Model, state: StateFolder, *, headless: bool) -> None:
    """The portal as lines on standard input and output."""
    speaker: Speaker = Headless() if headless else Plain(ascii_terminal=ascii_only(os.environ))
    # `--plain` beside a portal that runs as a service is a person's own session, and leaves the port to the service.
    service = headless and settings.config.interface.mode == "headless"
    async with _running(settings, model, state, service=service, lines=True) as (core, session):
        surface = LineSurface(core, session, speaker, 0, 1, service=service)
        core.connect(surface, session)
        session.start()
        await surface.run()


async def in_browser(settings: Settings, model: Model, state: StateFolder) -> None:
    """The portal as pages for a browser, until a signal ends it."""
    from bzzzd.hap.web.server import WebPortal  # aiohttp is large

    async with _running(settings, model, state, service=True) as (core, session):
        portal = WebPortal(settings, core, session)
        core.connect(portal.surface, session)
        await portal.start()
        try:
            session.start()
            portal.announce(1)
            await portal.run()
        finally:
            await portal.stop()


def run_terminal(
    settings: Settings, model: Model, state: StateFolder, window: Window, painter: Painter, themes: Mapping[str, Theme]
) -> None:
    asyncio.run(in_terminal(settings, model, state, window, painter, themes))


def run_lines(settings: Settings, model: Model, state: StateFolder, *, headless: bool) -> None:
    asyncio.run(in_lines(settings, model, state, headless=headless))


def run_web(settings: Settings, model: Model, state: StateFolder) -> None:
    asyncio.run(in_browser(settings, model, state))
