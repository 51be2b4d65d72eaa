"""The keys where something is written: the task form, and any text."""

from __future__ import annotations

from collections.abc import Mapping

from bzzzd.hap.keymap.action import Action, action

TITLES: Mapping[str, str] = {"form": "Writing", "preview": "Preview", "text": "Editing text"}
MODES: Mapping[str, tuple[str, ...]] = {
    "form": ("form", "text", "always"),
    "preview": ("preview", "always"),
}
ACTIONS: tuple[Action, ...] = (
    action("form", "ctrl+s f2", "submit", "send it", hint="send",
           typed='submit {"title": …, "body": …}'),
    action("form", "f3 alt+p", "preview", "see the message as it would be sent", hint="preview"),
    action("form", "esc", "close", "close the form; the draft is kept", hint="close, draft kept"),
    action("form", "tab", "next-field", "next field", hint="next field"),
    action("form", "shift+tab", "previous-field", "previous field"),
    action("form", "enter", "form-enter", "new line in a text of lines, next field elsewhere"),
    action("form", "up", "form-up", "one line up, or the field above"),
    action("form", "down", "form-down", "one line down, or the field below"),
    action("form", "pgup", "form-page-up", "ten lines up"),
    action("form", "pgdn", "form-page-down", "ten lines down"),
    action("form", "ctrl+o f4", "editor", "write the text in your own editor ($VISUAL, $EDITOR)", hint="editor"),
    action("form", "ctrl+x", "discard", "empty the form; pressed twice", hint="empty"),
    action("text", "ctrl+_ alt+u", "undo-typing", "take back what was typed"),
    action("text", "alt+r ctrl+y", "redo-typing", "do again what was taken back"),
    action("preview", "esc f3 q enter", "preview-close", "back to the fields", hint="back"),
    action("preview", "ctrl+s f2", "send-shown", "send it", hint="send"),
    action("preview", "j down", "preview-down", "one line down"),
    action("preview", "k up", "preview-up", "one line up"),
    action("text", "left", "left", "one character left"),
    action("text", "right", "right", "one character right"),
    action("text", "ctrl+left alt+b", "word-left", "one word left"),
    action("text", "ctrl+right alt+f", "word-right", "one word right"),
    action("text", "home ctrl+a", "line-start", "beginning of the line"),
    action("text", "end ctrl+e", "line-end", "end of the line"),
    action("text", "backspace ctrl+h", "backspace", "delete the character before"),
    action("text", "delete ctrl+d", "delete", "delete the character here"),
    action("text", "ctrl+w alt+backspace", "delete-word", "delete the word before"),
    action("text", "alt+d ctrl+delete", "delete-word-after", "delete the word behind"),
    action("text", "ctrl+home alt+<", "text-start", "beginning of the text"),
    action("text", "ctrl+end alt+>", "text-end", "end of the text"),
    action("text", "ctrl+k", "delete-to-end", "delete to the end of the line"),
    action("text", "ctrl+u", "delete-to-start", "delete to the beginning of the line"),
)  # fmt: skip
