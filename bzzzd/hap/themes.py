"""Themes: what a style's name becomes on the terminal, in 256 colours, 16, or none.

Colour only repeats what a sign or a word says already, so ``none`` loses nothing. A person's own themes
(``custom.py``) are one of these with some styles changed.
A style is a foreground and attributes; joined with ``+``, it stands on the second one's background.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

THEMES = ("dark", "light", "16", "none")


class Look(Struct, frozen=True):
    """One style: colours as numbers of the theme's palette (256 or 16), None for the terminal's own."""

    fg: int | None = None
    bg: int | None = None
    bold: bool = False
    dim: bool = False
    reverse: bool = False
    underline: bool = False


def _looks(
    *,
    text: int | None, dim: int | None, faint: int | None, accent: int, ok: int, info: int, warn: int, bad: int,
    bar: int | None, bar_bg: int, selected_bg: int, field_bg: int, over_bg: int, on_accent: int,
) -> Mapping[str, Look]:  # fmt: skip
    return {
        "base": Look(fg=text),
        "strong": Look(fg=text, bold=True),
        "dim": Look(fg=dim),
        "faint": Look(fg=faint),
        "accent": Look(fg=accent, bold=True),
        "ok": Look(fg=ok),
        "info": Look(fg=info),
        "warn": Look(fg=warn),
        "bad": Look(fg=bad, bold=True),
        "key": Look(fg=accent, bold=True),
        "columns": Look(fg=dim, bold=True),
        "bar": Look(fg=bar, bg=bar_bg),
        "brand": Look(fg=on_accent, bg=accent, bold=True),
        "tab": Look(fg=text, bg=selected_bg, bold=True),
        "selected": Look(fg=text, bg=selected_bg),
        "field": Look(fg=text, bg=field_bg),
        "over": Look(fg=text, bg=over_bg),
        "banner": Look(fg=on_accent, bg=warn, bold=True),
    }


_DARK = _looks(
    text=252, dim=245, faint=239, accent=214, ok=114, info=110, warn=221, bad=210,
    bar=250, bar_bg=235, selected_bg=238, field_bg=236, over_bg=236, on_accent=233,
)  # fmt: skip
_LIGHT = _looks(
    text=235, dim=242, faint=250, accent=130, ok=28, info=25, warn=94, bad=124,
    bar=237, bar_bg=254, selected_bg=252, field_bg=255, over_bg=254, on_accent=231,
)  # fmt: skip
# Sixteen colours are whatever the person's terminal makes of them: text keeps the terminal's own colour, and
# grounds are made by reversing, which is readable in every palette.
_SIXTEEN: Mapping[str, Look] = {
    "base": Look(),
    "strong": Look(bold=True),
    "dim": Look(),
    "faint": Look(dim=True),
    "accent": Look(fg=3, bold=True),
    "ok": Look(fg=2),
    "info": Look(fg=6),
    "warn": Look(fg=3),
    "bad": Look(fg=1, bold=True),
    "key": Look(bold=True, underline=True),
    "columns": Look(bold=True),
    "bar": Look(reverse=True),
    "brand": Look(reverse=True, bold=True),
    "tab": Look(bold=True, underline=True, reverse=True),
    "selected": Look(reverse=True),
    "field": Look(underline=True),
    "over": Look(),
    "banner": Look(reverse=True, bold=True),
}
_NONE: Mapping[str, Look] = {
    name: Look(bold=look.bold, dim=False, reverse=look.reverse, underline=look.underline)
    for name, look in _SIXTEEN.items()
}


class Theme(Struct, frozen=True):
    """``colours`` is 256, 16 or 0."""

    name: str
    colours: int
    looks: Mapping[str, Look]

    def look(self, style: str) -> Look:
        """The look of a style; ``a+b`` is ``a`` on the ground of ``b``."""
        over, _, under = style.partition("+")
        look = self.looks.get(over) or self.looks["base"]
        if not under:
            return look
        ground = self.look(under)
        return Look(
            fg=look.fg if look.fg is not None and not ground.reverse else ground.fg,
            bg=ground.bg,
            bold=look.bold or ground.bold,
            dim=look.dim and not ground.reverse,
            reverse=ground.reverse,
            underline=look.underline or ground.underline,
        )

    def switch(self, old: Look | None, new: Look) -> str:
        """The shortest sequence from one look to another; from an unknown one when ``old`` is None.

        Attributes are only ever added: taking one away starts from nothing, which every terminal understands.
        """
        given, wanted = (_attributes(old) if old is not None else ()), _attributes(new)
        fresh = old is None or not set(given) <= set(wanted)
        parts = ["0"] if fresh else []
        parts += [code for code in wanted if fresh or code not in given]
        for colour, before, base in ((new.fg, old and old.fg, 30), (new.bg, old and old.bg, 40)):
            if not self.colours or (colour == before and not fresh):
                continue
            if colour is not None:
                parts.append(self._colour(colour, base))
            elif not fresh:
                parts.append(str(base + 9))
        return f"\x1b[{';'.join(parts)}m" if parts else ""

    def _colour(self, colour: int, base: int) -> str:
        if self.colours == 256:
            return f"{base + 8};5;{colour}"
        return str(base + colour if colour < 8 else base + 60 + colour - 8)


def _attributes(look: Look) -> tuple[str, ...]:
    found = ((look.bold, "1"), (look.dim, "2"), (look.underline, "4"), (look.reverse, "7"))
    return tuple(code for on, code in found if on)


BUILT_IN: Mapping[str, Theme] = {
    "dark": Theme(name="dark", colours=256, looks=_DARK),
    "light": Theme(name="light", colours=256, looks=_LIGHT),
    "16": Theme(name="16", colours=16, looks=_SIXTEEN),
    "none": Theme(name="none", colours=0, looks=_NONE),
}
STYLES = tuple(_DARK)
_NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ATTRIBUTES = ("bold", "dim", "reverse", "underline")


def theme(name: str, own: Mapping[str, Theme] = BUILT_IN) -> Theme:
    """A theme by its name; dark when there is none of that name, such as one that a file no longer has."""
    return own.get(name) or BUILT_IN.get(name) or BUILT_IN["dark"]


def look(text: str, colours: int) -> Look:
    """A style as a person writes it: ``bold 214 on 236``, ``bright-red``, ``on blue``, ``underline``.

    Raises ``ValueError`` with what is wrong.
    """
    given: dict[str, int | bool] = {}
    ground = False
    for word in text.lower().split():
        if word == "on" and not ground:
            ground = True
        elif word in _ATTRIBUTES and not ground:
            given[word] = True
        elif ("bg" if ground else "fg") in given:
            raise ValueError(f"`{word}` is one colour too many")
        else:
            given["bg" if ground else "fg"] = _colour(word, colours)
    if ground and "bg" not in given:
        raise ValueError("no colour stands behind `on`")
    return msgspec.convert(given, Look)


def _colour(word: str, colours: int) -> int:
    bright, name = word.startswith("bright-"), word.removeprefix("bright-")
    if name in _NAMES:
        number = _NAMES.index(name) + 8 * bright
    elif word.isascii() and word.isdecimal() and len(word) <= 3:
        number = int(word)
    else:
        raise ValueError(f"`{word}` is no colour and no attribute")
    if number >= colours:
        raise ValueError(f"`{word}` is beyond the {colours} colours of the theme that this one is like")
    return number


def fitting(environ: Mapping[str, str], colours: int) -> str:
    """The theme for a terminal with so many colours, when the person has chosen none.

    ``NO_COLOR`` (no-color.org) asks for none. ``COLORFGBG`` tells the background where a terminal sets it.
    """
    if environ.get("NO_COLOR") or colours < 8:
        return "none"
    if colours < 256:
        return "16"
    ground = environ.get("COLORFGBG", "").rpartition(";")[2]
    return "light" if ground in ("7", "15") else "dark"
