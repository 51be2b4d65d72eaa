"""The model that the portal starts with: what was seen last, the draft that is kept, and the window."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from msgspec.structs import replace

from bzzzd.config.settings import Settings
from bzzzd.hap.actions import Registry
from bzzzd.hap.files.state import StateFolder
from bzzzd.hap.themes import THEMES
from bzzzd.hap.values.lists import whole, with_tasks
from bzzzd.hap.values.logbook import Logbook, arranged
from bzzzd.hap.values.model import Draft, Link, Model
from bzzzd.hap.values.shelf import Shelf
from bzzzd.hap.values.talk import Talk, with_threads


def first_model(settings: Settings, state: StateFolder, registry: Registry, now: float) -> Model:
    """Everything that is known before the daemon has said a word."""
    drafts = state.take_drafts()
    model = Model(
        now=now,
        run=os.urandom(6).hex(),
        registry=registry,
        utc_offset=time.localtime(now).tm_gmtoff,
        link=Link(since=now, socket=settings.socket),
        draft=drafts[0] if drafts else Draft(""),
        put_by=drafts[1:],
        written=state.written(),
    )
    seen = state.seen(settings.socket)
    if seen is None:
        return model
    model = replace(
        model,
        link=replace(model.link, number=seen.number, seen=seen.at),
        me=seen.me,
        status=seen.status,
        health=seen.health,
        agents=seen.agents,
        peers=seen.peers,
        prompts={prompt.id: prompt for prompt in seen.prompts},
        asked={asked.id: asked for asked in seen.asked},
        read=seen.read,
        receptions={one.prompt: one for one in seen.receptions},
        talk=with_threads(Talk(spoken=seen.spoken), seen.threads),
        # Its tree is grown when it is looked at: the first frame does not wait for it.
        shelf=Shelf(
            entries={row.address: row for row in seen.entries}, books={book.address: book for book in seen.books}
        ),
        events=seen.events,
        logbook=arranged(Logbook(lines=seen.lines)),
        pages={page.id: page for page in seen.pages},
    )
    model = with_tasks(model, {task.id: task for task in seen.tasks})
    # Only here: what comes later is told by a badge, and moves nobody.
    return whole(replace(model, view="inbox") if model.needs else model)


def in_window(
    model: Model, width: int, height: int, theme: str, themes: Sequence[str] = THEMES, *, mouse: bool = True
) -> Model:
    """The model for a window of this size and one of its themes; ``mouse`` whether it takes the mouse."""
    return whole(replace(model, width=width, height=height, theme=theme, themes=tuple(themes), mouse=mouse))
