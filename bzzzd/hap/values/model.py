"""The portal's state and the messages that change it: values, nothing else.

Strings inside these values are clean (``text.py``): ``feed.py`` makes the values from what the daemon
sends. Times are Unix seconds; a mapping in the model is never changed in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from bzzzd.hap.actions import Registry
from bzzzd.hap.themes import THEMES
from bzzzd.hap.values.asked import Asked, Prompt, Reception, Sending
from bzzzd.hap.values.buffer import Buffer
from bzzzd.hap.values.chronicle import Event
from bzzzd.hap.values.logbook import Logbook
from bzzzd.hap.values.sheets import Field, Sheet
from bzzzd.hap.values.shelf import Shelf
from bzzzd.hap.values.talk import Talk
from bzzzd.hap.values.things import Agent, Content, Health, History, Need, Peer, Status, Step, Task

LISTS = ("inbox", "tasks", "threads", "context", "agents", "peers", "health", "events", "logs")
"""The views in the order of their keys, 1 to 9."""
TABS = ("brief", "decision", "trace", "talk", "prompts")
UNDO_S = 5.0


class Me(Struct, frozen=True):
    """Who the daemon takes the person for; ``mend`` says what a guest can do about it."""

    id: str = ""
    kind: str = "guest"
    role: str = ""
    mend: str = ""

    @property
    def guest(self) -> bool:
        return self.kind == "guest"


class Link(Struct, frozen=True):
    """The connection to the daemon: ``number`` is the newest of the task stream, ``seen`` when anything was heard.

    ``asked`` is when it was asked for a sign of life that has not come yet; ``silent`` that it is taken for away
    because of that, though the connection stands.
    """

    state: Literal["connecting", "online", "offline"] = "connecting"
    since: float = 0
    why: str = ""
    socket: str = ""
    number: int = 0
    seen: float = 0
    asked: float = 0
    silent: bool = False


class Draft(Struct, frozen=True):
    """Something being written with the form ``form``: the texts of its fields by name.

    ``id`` is its command's id too, so that sending it twice makes one task. ``thread`` and ``reply_to`` say where
    a message goes. ``tried`` is set when it may have reached the ledger; a change after that takes a new id.
    ``editing`` is the field that the person's own editor has.
    """

    id: str
    form: str = "task"
    values: Mapping[str, str] = field(default_factory=dict)
    thread: str = ""
    reply_to: str = ""
    tried: bool = False
    editing: str = ""

    @property
    def empty(self) -> bool:
        return not any(text.strip() for text in self.values.values())

    @property
    def title(self) -> str:
        """What it is called where drafts are spoken of: its first field that says something."""
        return next((text.strip().split("\n")[0] for text in self.values.values() if text.strip()), "")


class Pending(Struct, frozen=True):
    """A cancel or retry that waits until it can no longer be undone."""

    id: str
    kind: Literal["cancel", "retry"]
    task: str
    due: float
    reason: str = ""


class Notice(Struct, frozen=True):
    """One line that tells what has just happened; ``level`` is ok, info, warn or bad."""

    text: str
    level: str = "info"
    until: float = 0


class ListState(Struct, frozen=True):
    """Where one list stands: the chosen row by id (rows move, the choice does not), the first row shown."""

    chosen: str = ""
    top: int = 0
    filter: str = ""


class Page(Struct, frozen=True):
    """One thing opened from a list. ``faults`` holds what went wrong, by tab; ``at`` names a chosen part of it.

    Of a prompt, ``pinned`` is the digest of the text in view, and ``ready`` that it may be answered by now.
    """

    kind: str
    id: str
    tab: str = "brief"
    scroll: int = 0
    at: str = ""
    ref: int = 0
    brief: Content | None = None
    decision: Content | None = None
    explanation: Content | None = None
    wanted: int = 0
    history: History = History()
    trace: tuple[Step, ...] | None = None
    ready: bool = False
    pinned: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)


class Form(Struct, frozen=True):
    """A form being filled in: ``sheet`` is its template, with one buffer for each of its fields in their order.

    ``top`` is the first line shown of the field in focus; ``saving`` that a save is due; ``emptying`` that the key
    that empties the form was pressed once; ``preview`` that the message is shown as it would be sent. ``files``
    are the texts of file fields that were read, by path.
    """

    sheet: Sheet
    buffers: tuple[Buffer, ...]
    focus: int = 0
    fault: str = ""
    top: int = 0
    saving: bool = False
    emptying: bool = False
    preview: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def field(self) -> Field:
        """The field in focus."""
        return self.sheet.fields[self.focus]

    @property
    def values(self) -> dict[str, str]:
        return {one.name: text.text for one, text in zip(self.sheet.fields, self.buffers, strict=True)}


class Palette(Struct, frozen=True):
    query: Buffer = Buffer()
    chosen: int = 0


class Chooser(Struct, frozen=True):
    """Which form to write with; ``query`` narrows the list."""

    query: Buffer = Buffer()
    chosen: int = 0


class Help(Struct, frozen=True):
    scroll: int = 0


class Filter(Struct, frozen=True):
    """The filter of the list in view is being typed; ``before`` comes back on Esc."""

    text: Buffer
    before: str = ""


class Naming(Struct, frozen=True):
    """A file is being named for the content at ``address``, its version included; ``over`` that it exists already.

    ``name`` is the one that was offered.
    """

    text: Buffer
    address: str
    name: str = ""
    size: int = 0
    over: bool = False
    fault: str = ""


class Bare(Struct, frozen=True):
    """The text of what is open, without anything around it, while the mouse is the terminal's."""

    scroll: int = 0


class Answering(Struct, frozen=True):
    """An answer being given to the prompt ``prompt`` with the text ``digest``.

    ``what`` is approve, deny, choose, text, form or settle; ``step`` pick, write, confirm, word or over;
    ``buffers`` hold a text or the form's fields, ``word`` what is typed to confirm. ``fault`` says what is wrong,
    ``saving`` that a save of what is written is due.
    """

    prompt: str
    digest: str
    what: str
    step: str = "confirm"
    chosen: int = 0
    buffers: tuple[Buffer, ...] = ()
    focus: int = 0
    word: Buffer = Buffer()
    fault: str = ""
    saving: bool = False


class Secret(Struct, frozen=True):
    """A passphrase being typed: ``what`` is unlock, new or again, ``first`` what it must be the same as."""

    what: Literal["unlock", "new", "again"]
    text: Buffer = Buffer()
    first: str = ""
    fault: str = ""
    trying: bool = False

    def __repr__(self) -> str:
        return f"Secret({self.what})"


Overlay = Form | Palette | Chooser | Help | Filter | Bare | Answering | Secret | Naming


class Model(Struct, frozen=True):
    """Everything the portal knows and shows.

    ``run`` is a random word of this start: with ``counter`` it makes ids. ``order`` are the tasks in view,
    newest first, and ``counts`` all of them by state. ``flying`` are commands on their way, ``soon`` questions
    that a timer will ask. ``needs`` are the rows of the inbox; ``talk``, ``shelf``, ``events`` and ``logbook``
    what the rooms of threads, context, events and the log know; ``pages`` what was read of tasks. ``trail`` are
    the pages, with their views, from which the one in view was opened, ``naming`` the file that was named last. By
    prompt: ``asked`` its proven text, ``receptions`` what became of the person's answer, ``written`` what was
    written and not sent; ``answers`` can still be taken back. ``read`` are the times up to which threads were in
    view. ``draft`` is what was written last, ``put_by`` are other drafts, ``sheets`` the forms to write with and
    ``sheet_faults`` what is wrong with others; ``locked`` is the path of a key whose passphrase was not given.
    ``unsaved`` says why drafts are in memory only. ``utc_offset`` is in seconds.
    """

    now: float
    run: str
    registry: Registry
    width: int = 80
    height: int = 24
    utc_offset: int = 0
    theme: str = "dark"
    themes: tuple[str, ...] = THEMES
    mouse: bool = True
    counter: int = 0
    me: Me = Me()
    locked: str = ""
    link: Link = Link()
    status: Status = Status()
    health: Health = Health()
    tasks: Mapping[str, Task] = field(default_factory=dict)
    order: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    agents: tuple[Agent, ...] = ()
    peers: tuple[Peer, ...] = ()
    needs: tuple[Need, ...] = ()
    talk: Talk = Talk()
    shelf: Shelf = Shelf()
    events: tuple[Event, ...] = ()
    pages: Mapping[str, Page] = field(default_factory=dict)
    logbook: Logbook = Logbook()
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    asked: Mapping[str, Asked] = field(default_factory=dict)
    receptions: Mapping[str, Reception] = field(default_factory=dict)
    answers: tuple[Sending, ...] = ()
    written: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    read: Mapping[str, float] = field(default_factory=dict)
    view: str = "tasks"
    lists: Mapping[str, ListState] = field(default_factory=lambda: dict.fromkeys(LISTS, ListState()))
    page: Page | None = None
    trail: tuple[tuple[str, Page], ...] = ()
    naming: Naming | None = None
    overlay: Overlay | None = None
    pending: tuple[Pending, ...] = ()
    flying: frozenset[str] = frozenset()
    soon: frozenset[str] = frozenset()
    notice: Notice = Notice("")
    draft: Draft = Draft("")
    put_by: tuple[Draft, ...] = ()
    sheets: Mapping[str, Sheet] = field(default_factory=dict)
    sheet_faults: tuple[str, ...] = ()
    unsaved: str = ""
    quitting: bool = False

    @property
    def let_in(self) -> bool:
        """Whether bzzzd is there and knows the person: guests are told less, and ask for less."""
        return self.link.state == "online" and not self.me.guest

    @property
    def mouse_taken(self) -> bool:
        """Whether the terminal tells us about its mouse, or keeps it for selecting text."""
        return self.mouse and not isinstance(self.overlay, Bare)


def mode(model: Model) -> str:
    """Which keys apply now: a name of ``actions.MODES``."""
    match model.overlay:
        case Form(preview=preview):
            return "preview" if preview else "form"
        case Filter():
            return "filter"
        case Palette():
            return "palette"
        case Chooser():
            return "chooser"
        case Help():
            return "help"
        case Bare():
            return "bare"
        case Answering(step=step):
            return f"answer {step}"
        case Secret():
            return "secret"
        case Naming():
            return "naming"
    return mode_below(model)


_PAGE_MODES: Mapping[str, str] = {
    "inbox": "prompt page",
    "tasks": "task page",
    "threads": "thread page",
    "context": "context page",
}


def mode_below(model: Model) -> str:
    """The mode when no overlay is open."""
    if model.page is not None:
        return _PAGE_MODES.get(model.page.kind, "page")
    return model.view


def chosen_id(model: Model) -> str:
    """The row that an action without a target means: the opened page's, else the list's chosen one."""
    return model.page.id if model.page is not None else model.lists[model.view].chosen
