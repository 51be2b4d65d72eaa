"""Copying by OSC 52: the sequence with which a program asks the person's own terminal to take text.

It works where the terminal is, also over SSH, because the terminal does it and not this machine. tmux and
screen keep such a sequence for themselves unless it is wrapped. Nobody answers, so the portal can only say
that it was sent; the bare view is there for terminals that take nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

COPY_BYTES = 74_994
"""What fits: xterm and others take a sequence of 100,000 bytes, and base64 makes four bytes of three."""

_SCREEN_BYTES = 256  # screen drops a wrapped string that is much longer


def can_copy(environ: Mapping[str, str]) -> bool:
    """Whether the sequence can do no harm; consoles print what they do not know."""
    return environ.get("TERM", "") not in ("", "dumb", "linux", "vt100", "vt102", "vt220")


def bounded(text: str) -> tuple[str, bool]:
    """As much of the text as fits, and whether something was left out; no character is cut in two."""
    data = text.encode("utf-8", "replace")
    if len(data) <= COPY_BYTES:
        return text, False
    return data[:COPY_BYTES].decode("utf-8", "ignore"), True


def sequence(text: str, environ: Mapping[str, str]) -> str:
    """What to write so that the terminal has ``text`` (at most ``COPY_BYTES``) in its clipboard."""
    coded = base64.b64encode(bounded(text)[0].encode("utf-8", "replace")).decode("ascii")
    plain = f"\x1b]52;c;{coded}\x07"
    if environ.get("TMUX"):
        # tmux obeys the first with `set-clipboard on`, and hands on the second with `allow-passthrough on`.
        return plain + "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environ.get("STY"):
        parts = (plain[start : start + _SCREEN_BYTES] for start in range(0, len(plain), _SCREEN_BYTES))
        return "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return plain
