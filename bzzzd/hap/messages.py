"""Messages that change the model, and effects that an update asks for: values, both.

Messages come from keys, timers, the connection, and answers; effects are performed by the runner
(``session.py`` for the daemon, ``state.py`` for files, the surface for the window).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from bzzzd.hap.feeds.feed import Item
from bzzzd.hap.values.asked import Prompt, Sending
from bzzzd.hap.values.model import Draft, Me
from bzzzd.hap.values.things import Fault, Status, Task
from bzzzd.hmmm.forms import Composed, Form

Tag = tuple[str, ...]


class Key(Struct, frozen=True):
    """A key by its name (``j``, ``enter``, ``ctrl+s``); ``text`` is what it types, if anything."""

    name: str
    text: str = ""


class Paste(Struct, frozen=True):
    """Text that arrived as a whole; ``cut`` when more came than is taken."""

    text: str
    cut: bool = False


class Mouse(Struct, frozen=True):
    """A press of ``left``, ``middle`` or ``right``, or a turn: ``wheel-up``, ``wheel-down``; cells count from 0."""

    button: str
    column: int
    row: int


class Edited(Struct, frozen=True):
    """An editor of the person's own has ended: the text it left, or None, and what there is to tell."""

    text: str | None
    told: str = ""


class Told(Struct, frozen=True):
    """The window has something to tell; ``level`` is that of a notice."""

    text: str
    level: str = "info"


class Act(Struct, frozen=True):
    """Perform a named action; headless and plain modes send these, keys become them."""

    action: str
    args: Mapping[str, Any] = field(default_factory=dict)


class Resized(Struct, frozen=True):
    width: int
    height: int


class Tick(Struct, frozen=True):
    """Time has passed; ``now`` is Unix seconds."""

    now: float


class Online(Struct, frozen=True):
    """Attached, as a person or as a guest."""

    me: Me
    status: Status


class Offline(Struct, frozen=True):
    why: str


class Snapshot(Struct, frozen=True):
    """All tasks as they are at ``number`` of the stream."""

    tasks: tuple[Task, ...]
    number: int


class Began(Struct, frozen=True):
    """What a stream that only adds had told before it was followed."""

    stream: str
    items: tuple[Item, ...]


class Locked(Struct, frozen=True):
    """The person's key at ``path`` is under a passphrase."""

    path: str


class Prompts(Struct, frozen=True):
    """All prompts that are not over, as they are now."""

    prompts: tuple[Prompt, ...]


class Came(Struct, frozen=True):
    """Items of a stream up to ``number``."""

    stream: str
    items: tuple[Item, ...]
    number: int


class Answered(Struct, frozen=True):
    """The answer to an effect with this tag, as a value of the model."""

    tag: Tag
    value: Any


class Refused(Struct, frozen=True):
    tag: Tag
    fault: Fault


class Due(Struct, frozen=True):
    what: str
    id: str = ""


class Saved(Struct, frozen=True):
    """The draft is on disk again after it could not be saved."""


class Unsaved(Struct, frozen=True):
    """A file could not be written; ``what`` is ``draft``, ``answer``, ``theme``, ``seen`` or ``file``."""

    what: str
    why: str


class Sheets(Struct, frozen=True):
    """The forms of the folders, and what is wrong with those that were left out."""

    found: Mapping[str, Form]
    faults: tuple[str, ...]


class FilesRead(Struct, frozen=True):
    """Texts by path, and why others could not be read."""

    texts: Mapping[str, str]
    faults: Mapping[str, str]
    then: str


Message = (
    Key | Paste | Mouse | Edited | Told | Act | Resized | Tick | Online | Offline | Snapshot | Prompts | Began | Came
    | Answered | Refused | Due | Saved | Unsaved | FilesRead | Sheets | Locked
)  # fmt: skip


class Ask(Struct, frozen=True):
    """Read something: an RPC call whose answer comes as ``Answered`` or ``Refused`` with the tag."""

    method: str
    params: Mapping[str, Any]
    tag: Tag


class Attach(Struct, frozen=True):
    """A guest asks whether the person's grant has come meanwhile."""


class Submit(Struct, frozen=True):
    """Sign and send a task; answered with the tag ``("submit", id)``. ``id`` makes it idempotent."""

    id: str
    task: Composed


class Post(Struct, frozen=True):
    """Sign and send a message of a thread, of a new one if ``thread`` is empty; answered with ``("post", id)``.

    ``project`` is that of the task that the thread is about.
    """

    id: str
    message: Composed
    thread: str = ""
    reply_to: str = ""
    project: str = "default"


class Order(Struct, frozen=True):
    """Sign and send a cancel or retry; answered with the tag ``("order", id)``. ``id`` makes it idempotent."""

    kind: str
    task: str
    id: str
    reason: str = ""


class Unlock(Struct, frozen=True):
    """Open the person's key with this passphrase; answered with the tag ``("unlock",)``."""

    passphrase: str

    def __repr__(self) -> str:
        return "Unlock()"


class Protect(Struct, frozen=True):
    """Keep the person's key under this passphrase, or under none; answered with the tag ``("protect",)``."""

    passphrase: str

    def __repr__(self) -> str:
        return "Protect()"


class Open(Struct, frozen=True):
    """Read a prompt's document and prove it; answered with the tag ``("prompt", id)``."""

    id: str


class Look(Struct, frozen=True):
    """Tell the ledger that the person has the prompt on their screen."""

    prompt: str
    task: str


class SendAnswer(Struct, frozen=True):
    """Sign an answer, put it on disk, and send it until it has its receipt.

    ``Answered`` with ``("kept", id, prompt)`` says that it is on disk, with ``("reply", id)`` what became of it.
    ``("outbox", ...)`` brings what lies on disk, at the start and whenever the connection is back, and names what
    another portal of this person took out.
    """

    sending: Sending


class SaveAnswer(Struct, frozen=True):
    """Keep what is being written as an answer; without texts, forget it."""

    prompt: str
    texts: tuple[str, ...]


class Later(Struct, frozen=True):
    """Send the message back after some seconds."""

    seconds: float
    message: Due


class SaveDrafts(Struct, frozen=True):
    """Keep these drafts, and no others."""

    drafts: tuple[Draft, ...]


class ReadFiles(Struct, frozen=True):
    """Read the text files that a form names; answered with ``FilesRead``. ``then`` is the action to go on with."""

    paths: tuple[str, ...]
    then: str


class SaveTheme(Struct, frozen=True):
    theme: str


class SaveCache(Struct, frozen=True):
    """Keep what has been seen for the next start."""


class Redraw(Struct, frozen=True):
    pass


class Suspend(Struct, frozen=True):
    pass


class Copy(Struct, frozen=True):
    """Put text into the clipboard of the person's terminal."""

    text: str


class Edit(Struct, frozen=True):
    """Give the terminal to the person's own editor with this text; answered with ``Edited``."""

    text: str


class Quit(Struct, frozen=True):
    pass


class SaveContent(Struct, frozen=True):
    """Write a version's content to the file ``path``; in a folder it is called ``name``. Tag: ``("save", path)``."""

    address: str
    path: str
    name: str
    over: bool = False


Call = Ask | Attach | Submit | Post | Order | Open | Look | SendAnswer | Unlock | Protect | SaveContent
"""What goes to the daemon."""
Effect = (
    Call | Later | SaveDrafts | ReadFiles | SaveAnswer | SaveTheme | SaveCache | Redraw | Suspend | Copy | Edit | Quit
)  # fmt: skip
Effects = tuple[Effect, ...]
