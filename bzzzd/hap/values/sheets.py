"""The forms that the portal has without any file: a new task, a message on a thread, and a thread of its own."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hmmm.forms import Field, MessageText, Part, When
from bzzzd.hmmm.forms import Form as Sheet

KINDS = ("question", "answer", "proposal", "agreement", "concern", "objection", "summary", "escalation")

KIND_HELP: Mapping[str, str] = {
    "question": "asks those who read it",
    "answer": "answers what was said",
    "proposal": "what you are about to do; others may object within a window",
    "agreement": "agrees with what it answers, and takes back your objection to it",
    "concern": "says what worries you, and stops nothing",
    "objection": "answers a proposal while its window is open, and keeps it from being settled",
    "summary": "closes the thread, for everybody",
    "escalation": "calls people or roles, and says why",
}
"""What each kind does, in the line below the form."""

TASK = Sheet(
    version=1,
    title="New task",
    help="ask for something in your own words",
    sends="task",
    fields=(
        Field(name="title", label="Title", required=True, most=300, help="one line that says what is wanted"),
        Field(
            name="body", label="Body", kind="lines", most=400_000,
            help="everything an agent needs to know; only its readers can decrypt it",
        ),
        Field(name="role", label="Role", kind="role", help="who may take it"),
        Field(name="capability", label="Capability", kind="role", help="what it takes"),
    ),
    message=MessageText(title="$title", body=(Part(text="$body"),), role="$role", capability="$capability"),
)  # fmt: skip
"""Its body stays under the 512 KiB of one message for any text but the rarest."""

_KIND = Field(name="kind", label="Kind", kind="choice", choices=KINDS, default="answer", required=True)
_TEXT = Field(name="text", label="Text", kind="lines", most=32_000, help="only its readers can decrypt it")
_TO = Field(name="to", label="To", help="who should see it: people by name, roles as role:NAME, with commas")
_WINDOW = Field(
    name="window", label="Window", kind="number", least=0, most=10_080,
    help="minutes within which others may object; empty for none", when=When(field="kind", equals=("proposal",)),
)  # fmt: skip
_REASON = Field(
    name="reason", label="Reason", most=500, required=True, help="why they are called",
    when=When(field="kind", equals=("escalation",)),
)  # fmt: skip

MESSAGE = Sheet(
    version=1,
    title="Message",
    help="say something on this thread",
    sends="answer",
    fields=(_KIND, _TEXT, _TO, _WINDOW, _REASON),
    message=MessageText(
        title="", body=(Part(text="$text"),), kind="$kind", to=("$to",), window_min="$window", reason="$reason"
    ),
)

THREAD = Sheet(
    version=1,
    title="New thread",
    help="begin to talk about something that is no task",
    sends="question",
    fields=(
        Field(name="subject", label="Subject", required=True, most=200, help="one line that says what it is about"),
        Field(name="kind", label="Kind", kind="choice", choices=KINDS[:1] + KINDS[2:3] + KINDS[4:5] + KINDS[7:],
              default="question", required=True),
        _TEXT, _TO, _WINDOW, _REASON,
    ),
    message=MessageText(
        title="$subject", body=(Part(text="$text"),), kind="$kind", to=("$to",), window_min="$window",
        reason="$reason",
    ),
)  # fmt: skip

BUILT_IN: Mapping[str, Sheet] = {"task": TASK, "message": MESSAGE, "thread": THREAD}

__all__ = ["BUILT_IN", "KIND_HELP", "Field", "Sheet"]
