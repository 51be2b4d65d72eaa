"""The keys of the inbox, of an opened prompt, and of giving an answer.

What confirms an answer is another key than those that open a prompt or begin the answer, so that no
key held down or pressed twice goes all the way.
"""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {
    "inbox": "Inbox",
    "prompt page": "An opened prompt",
    "answer pick": "Choosing an answer",
    "answer write": "Writing an answer",
    "answer confirm": "Confirming an answer",
    "answer word": "Confirming what is of high risk",
    "answer over": "An answer that is too late",
}
MODES: Mapping[str, tuple[str, ...]] = {
    "inbox": ("list", "inbox", "global", "always"),
    "prompt page": ("page", "prompt page", "reference", "global", "always"),
    "answer pick": ("answer pick", "always"),
    "answer write": ("answer write", "text", "always"),
    "answer confirm": ("answer confirm", "always"),
    "answer word": ("answer word", "text", "always"),
    "answer over": ("answer over", "always"),
}
ACTIONS: tuple[Action, ...] = (
    action("prompt page", "a", "answer", "answer the prompt: approve, choose or write", risk="undo", hint="answer",
           typed="answer [approve|WORD|CHOICE|TEXT|FIELDS]"),
    action("prompt page", "d", "deny", "answer the prompt with no", risk="undo", hint="deny", typed="deny"),
    action("answer pick", "j down tab", "answer-down", "next choice", hint="next"),
    action("answer pick", "k up shift+tab", "answer-up", "previous choice"),
    action("answer pick", "enter", "answer-choose", "take the choice, and confirm it next", hint="choose"),
    *(action("answer pick", str(number), f"answer-{number}", f"choice {number}") for number in range(1, 10)),
    action("answer pick", "esc q", "answer-close-pick", "leave without answering", hint="leave"),
    action("answer write", "ctrl+s f2", "answer-go-on", "what is written is the answer; confirm it next", hint="go on"),
    action("answer write", "tab", "answer-next-field", "next field", hint="next field"),
    action("answer write", "shift+tab", "answer-previous-field", "previous field"),
    action("answer write", "enter", "answer-enter", "new line, or next field"),
    action("answer write", "down", "answer-line-down", "one line down, or the field below"),
    action("answer write", "up", "answer-line-up", "one line up, or the field above"),
    action("answer write", "ctrl+o f4", "answer-editor", "write it in your own editor ($VISUAL, $EDITOR)"),
    action("answer write", "esc", "answer-close-write", "leave; what is written is kept", hint="leave, kept"),
    action("answer confirm", "y", "answer-send", "send it; `u` takes it back for 5 s", hint="send"),
    action("answer confirm", "Y", "answer-now", "send it at once", hint="send at once"),
    action("answer confirm", "esc n q", "answer-close", "leave without answering", hint="leave"),
    action("answer word", "enter", "answer-word", "send it, when the word is right", hint="send"),
    action("answer word", "esc", "answer-close-word", "leave without answering", hint="leave"),
    action("answer over", "esc", "answer-close-over", "leave", hint="leave"),
)  # fmt: skip
