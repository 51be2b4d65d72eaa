r"""Bytes from the terminal to key presses, pastes and the mouse, without waiting for anything.

The terminal is read in bulk: what arrives is cut here into typed characters, control keys, pastes, escape
sequences (named by blessed's tables), reports of the mouse in SGR form (``CSI < button ; column ; row M``,
xterm's ctlseqs), and replies of the terminal, which are swallowed.

::

    text ──ESC──► sequence ──complete──► text
     ▲               │ nothing more for ESCAPE_S: the Esc key itself, or Alt with a key
     │               ▼ ESC [ 200 ~
     └──ESC[201~── paste      kept up to a limit, read to its end

Unbracketed text of ``BURST`` characters in one read is a paste too: nobody types that fast, and its letters
must not run as commands. One key held down on a slow line is none, and control keys stay keys.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable

from bzzzd.hap.messages import Key, Mouse, Paste

ESCAPE_S = 0.05
BURST = 64
_PASTE_START, _PASTE_END = "\x1b[200~", "\x1b[201~"
_CSI = re.compile(r"\x1b\[(?:\[[A-E]|M...|[0-?]*[ -/]*[@-~])", re.DOTALL)
_CSI_BEGUN = re.compile(r"\x1b\[(?:\[|M.{0,2}|[0-?]*[ -/]*)\Z", re.DOTALL)
_SS3 = re.compile(r"\x1bO[0-9]?[A-Za-z]")
_STRING = re.compile(r"\x1b[P\]_^X][^\x07\x1b]*(?:\x07|\x1b\\)")
_STRING_BEGUN = re.compile(r"\x1b[P\]_^X][^\x07\x1b]*\x1b?\Z")
_STRING_MAX = 8192
_RUN = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]+|.", re.DOTALL)
_CONTROL = {"\r": "enter", "\n": "enter", "\t": "tab", "\x7f": "backspace", "\x00": "ctrl+space", " ": "space"}
_NAMES = {
    "escape": "esc", "exit": "esc", "pgdown": "pgdn", "btab": "shift+tab", "npage": "pgdn", "ppage": "pgup",
    "delete": "delete", "dc": "delete", "ic": "insert", "sleft": "shift+left", "sright": "shift+right",
    "sup": "shift+up", "sdown": "shift+down",
}  # fmt: skip

_MOUSE = re.compile(r"\x1b\[<(\d{1,4});(\d{1,5});(\d{1,5})([Mm])")
_BUTTONS = {0: "left", 1: "middle", 2: "right", 64: "wheel-up", 65: "wheel-down"}
_MODIFIERS, _MOTION = 4 | 8 | 16, 32

Event = Key | Paste | Mouse
Namer = Callable[[str], str]
"""Gives blessed's name of a whole escape sequence, such as ``KEY_CTRL_LEFT``; empty when it knows none."""


class Decoder:
    """Feed it bytes; it gives keys, pastes and the mouse. ``waiting`` tells that an unfinished escape is held back."""

    def __init__(self, namer: Namer, paste_limit: int) -> None:
        self._namer = namer
        self._limit = paste_limit
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._held = ""
        self._paste: list[str] | None = None
        self._pasted = 0
        self._cut = False

    @property
    def waiting(self) -> bool:
        return bool(self._held) and self._paste is None

    def feed(self, data: bytes) -> list[Event]:
        """What ``data`` completes."""
        text, self._held = self._held + self._decode(data), ""
        found: list[Event] = []
        while text:
            if self._paste is not None:
                text = self._take_paste(text, found)
            elif text[0] == "\x1b":
                text = self._take_escape(text, found)
            else:
                stop = text.find("\x1b")
                run, text = (text, "") if stop < 0 else (text[:stop], text[stop:])
                for part in _RUN.findall(run):
                    if len(part) >= BURST and part.strip(part[0]):
                        self._add_paste(part)
                        found.append(self._end_paste())
                    else:
                        found += (_typed(one) for one in part)
        return found

    def flush(self) -> list[Event]:
        """Nothing more came for ``ESCAPE_S``: what is held back was not the beginning of a sequence."""
        held, self._held = self._held, ""
        if len(held) == 2 and held[1].isprintable():
            return [_with_alt(held[1])]
        return [Key("esc")] if held[:1] == "\x1b" else []

    def _take_escape(self, text: str, found: list[Event]) -> str:
        if text.startswith(_PASTE_START):
            self._paste, self._pasted, self._cut = [], 0, False
            return text[len(_PASTE_START) :]
        if reply := _STRING.match(text):
            return text[reply.end() :]
        if mouse := _MOUSE.match(text):
            if press := _pressed(mouse):
                found.append(press)
            return text[mouse.end() :]
        if whole := _CSI.match(text) or _SS3.match(text):
            if name := _name(self._namer(whole.group())):
                found.append(Key(name))
            return text[whole.end() :]
        if len(text) == 1 or text == "\x1bO" or _CSI_BEGUN.match(text) or _STRING_BEGUN.match(text):
            self._held = text if len(text) <= _STRING_MAX else ""
            return ""
        if text[1] == "\x1b":
            found.append(Key("esc"))
            return text[1:]
        found.append(_with_alt(text[1]))
        return text[2:]

    def _take_paste(self, text: str, found: list[Event]) -> str:
        end = text.find(_PASTE_END)
        if end >= 0:
            self._add_paste(text[:end])
            found.append(self._end_paste())
            return text[end + len(_PASTE_END) :]
        # The end mark may be cut in two by the read.
        split = text.rfind("\x1b", max(0, len(text) - len(_PASTE_END) + 1))
        if split >= 0 and _PASTE_END.startswith(text[split:]):
            text, self._held = text[:split], text[split:]
        self._add_paste(text)
        return ""

    def _add_paste(self, text: str) -> None:
        if self._paste is None:
            self._paste, self._pasted, self._cut = [], 0, False
        room = self._limit - self._pasted
        self._cut = self._cut or len(text) > room
        if room > 0 and text:
            self._paste.append(text[:room])
            self._pasted += min(len(text), room)

    def _end_paste(self) -> Paste:
        text, self._paste = "".join(self._paste or ()), None
        return Paste(text.replace("\r\n", "\n").replace("\r", "\n"), self._cut)


def _typed(char: str) -> Key:
    if char in _CONTROL:
        return Key(_CONTROL[char], char if char == " " else "")
    if char < " ":
        return Key(f"ctrl+{chr(ord(char) + 96) if char <= chr(26) else chr(ord(char) + 64)}")
    return Key(char, char)


def _pressed(report: re.Match[str]) -> Mouse | None:
    """A button that goes down, or a turn of the wheel; releases and movements are nothing."""
    code, column, row = (int(part) for part in report.group(1, 2, 3))
    button = _BUTTONS.get(code & ~_MODIFIERS)
    if report[4] == "m" or code & _MOTION or button is None or not (column and row):
        return None
    return Mouse(button, column - 1, row - 1)


def _with_alt(char: str) -> Key:
    return Key(f"alt+{_typed(char).name}")


def _name(blessed: str) -> str:
    """``KEY_CTRL_SHIFT_LEFT`` as ``ctrl+shift+left``; releases, mouse and replies give nothing."""
    if not blessed.startswith("KEY_") or blessed.endswith("_RELEASED"):
        return ""
    parts = blessed.removeprefix("KEY_").removesuffix("_REPEATED").lower().split("_")
    modifiers = [part for part in parts[:-1] if part in ("ctrl", "alt", "shift")]
    key = "_".join(parts[len(modifiers) :])
    return "+".join([*modifiers, _NAMES.get(key, key)])
