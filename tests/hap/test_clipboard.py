from __future__ import annotations

import base64
import re

from bzzzd.hap.screen.clipboard import COPY_BYTES, bounded, can_copy, sequence


def _carried(data: str) -> str:
    found = re.fullmatch(r"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07", data)
    assert found is not None, data
    return base64.b64decode(found[1]).decode()


def test_the_text_arrives_whole_whatever_it_holds() -> None:
    text = "crème brûlée 漢字 👩\u200d👧\n\x1b]52;c;\x07 second line"
    assert _carried(sequence(text, {})) == text


def test_what_is_too_long_is_cut_between_characters_and_that_is_told() -> None:
    part, cut = bounded("漢" * COPY_BYTES)
    assert cut
    assert len(part.encode()) <= COPY_BYTES
    assert set(part) == {"漢"}
    assert len(sequence("漢" * COPY_BYTES, {})) <= 100_008
    assert bounded("short") == ("short", False)


def test_tmux_gets_it_for_itself_and_to_hand_on() -> None:
    data = sequence("word", {"TMUX": "/tmp/tmux-1000/default,1,0"})
    own, _, handed = data.partition("\x1bPtmux;")
    assert _carried(own) == "word"
    assert handed.endswith("\x1b\\")
    assert _carried(handed.removesuffix("\x1b\\").replace("\x1b\x1b", "\x1b")) == "word"


def test_screen_gets_it_in_pieces_that_it_takes() -> None:
    text = "word " * 400
    pieces = re.findall(r"\x1bP(.*?)\x1b\\", sequence(text, {"STY": "1.pts"}), re.DOTALL)
    assert all(len(piece) <= 256 for piece in pieces)
    assert _carried("".join(pieces)) == text


def test_consoles_that_would_print_it_get_nothing() -> None:
    assert can_copy({"TERM": "xterm-256color"})
    assert not can_copy({"TERM": "linux"})
    assert not can_copy({})
