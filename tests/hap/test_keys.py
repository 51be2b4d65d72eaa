from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hap.messages import Key, Paste
from bzzzd.hap.screen.keys import BURST, Decoder
from bzzzd.hap.screen.terminal import blessed_namer

LIMIT = 1000


@pytest.fixture(scope="module")
def namer() -> object:
    return blessed_namer({})


def _decoder(namer: object) -> Decoder:
    return Decoder(namer, LIMIT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"j", "j"),
        (b"\r", "enter"),
        (b"\t", "tab"),
        (b" ", "space"),
        (b"\x7f", "backspace"),
        (b"\x13", "ctrl+s"),
        (b"\x03", "ctrl+c"),
        (b"\x1b[A", "up"),
        (b"\x1bOA", "up"),
        (b"\x1b[B", "down"),
        (b"\x1b[H", "home"),
        (b"\x1b[1~", "home"),
        (b"\x1b[4~", "end"),
        (b"\x1b[5~", "pgup"),
        (b"\x1b[6~", "pgdn"),
        (b"\x1b[3~", "delete"),
        (b"\x1b[Z", "shift+tab"),
        (b"\x1b[1;5D", "ctrl+left"),
        (b"\x1bOP", "f1"),
        (b"\x1b[15~", "f5"),
        (b"\x1bb", "alt+b"),
        (b"\x1b\x7f", "alt+backspace"),
        ("é".encode(), "é"),
        ("漢".encode(), "漢"),
        (b"\x1b[115;5u", "ctrl+s"),
    ],
)
def test_what_terminals_send_gets_its_name(namer: object, data: bytes, name: str) -> None:
    assert [key.name for key in _decoder(namer).feed(data) if isinstance(key, Key)] == [name]


@pytest.mark.parametrize("data", [b"\x1b[A", b"\x1b[1;5D", "漢".encode(), b"\x1b[200~hello\nyou\x1b[201~", b"\x1b[3~"])
def test_a_sequence_cut_in_pieces_means_the_same(namer: object, data: bytes) -> None:
    whole, pieces = _decoder(namer), _decoder(namer)
    found = [event for byte in data for event in pieces.feed(bytes([byte]))]
    assert found == whole.feed(data)
    assert not pieces.waiting


def test_escape_alone_is_the_escape_key_once_nothing_follows(namer: object) -> None:
    decoder = _decoder(namer)
    assert decoder.feed(b"\x1b") == []
    assert decoder.waiting
    assert decoder.flush() == [Key("esc")]
    assert not decoder.waiting


def test_two_escapes_are_two_presses(namer: object) -> None:
    decoder = _decoder(namer)
    assert [*decoder.feed(b"\x1b\x1b"), *decoder.flush()] == [Key("esc"), Key("esc")]


def test_replies_of_the_terminal_are_no_keys(namer: object) -> None:
    replies = b"\x1b[?62;22c\x1b[24;80R\x1bP1+r544e=787465726d\x1b\\\x1b]11;rgb:0000/0000/0000\x07\x1b[?2026;2$y"
    assert _decoder(namer).feed(replies + b"x") == [Key("x", "x")]


def test_a_paste_is_one_event_and_its_letters_are_no_commands(namer: object) -> None:
    assert _decoder(namer).feed(b"\x1b[200~q\rquit\x1b[201~j") == [Paste("q\nquit"), Key("j", "j")]


def test_a_fast_burst_without_brackets_is_a_paste_too_and_control_keys_stay_keys(namer: object) -> None:
    text = "quit now\rand again " * 5
    assert _decoder(namer).feed(f"{text}\x13".encode()) == [Paste(text.replace("\r", "\n")), Key("ctrl+s")]


def test_typing_ahead_and_a_key_held_down_are_no_paste(namer: object) -> None:
    ahead = "x" + "y" * (BURST - 2)
    assert _decoder(namer).feed(ahead.encode()) == [Key(char, char) for char in ahead]
    assert _decoder(namer).feed(b"j" * 200) == [Key("j", "j")] * 200


def test_a_paste_of_5_MB_is_kept_up_to_the_limit_and_read_to_its_end(namer: object) -> None:
    decoder = _decoder(namer)
    found = decoder.feed(b"\x1b[200~")
    for _ in range(80):
        found += decoder.feed(b"x" * 65_536)
    found += decoder.feed(b"\x1b[201~j")
    assert found == [Paste("x" * LIMIT, cut=True), Key("j", "j")]


@given(st.binary(max_size=200), st.integers(1, 7))
def test_no_bytes_break_it(namer: object, data: bytes, step: int) -> None:
    decoder = _decoder(namer)
    for start in range(0, len(data), step):
        decoder.feed(data[start : start + step])
    decoder.flush()


def test_an_endless_reply_is_not_kept(namer: object) -> None:
    decoder = _decoder(namer)
    for _ in range(20):
        decoder.feed(b"\x1b]" + b"a" * 4096)
    assert len(decoder._held) <= 16_384
