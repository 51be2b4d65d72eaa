from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hap import buffer
from bzzzd.hap.buffer import EDITS, Buffer

TEXT = st.text(alphabet="ab \n漢e\u0301👩\u200d👧🇩🇪", max_size=30)
EDIT = st.sampled_from(sorted(EDITS))


def _typed(text: str, limit: int = 1000) -> Buffer:
    return buffer.insert(Buffer(), text, limit)[0]


@given(st.lists(st.one_of(TEXT, EDIT, st.integers(-3, 3)), max_size=15))
def test_a_buffer_stays_whole_under_any_edits(steps: list[str | int]) -> None:
    current = Buffer()
    for step in steps:
        if isinstance(step, int):
            current = buffer.vertical(current, step)
        elif step in EDITS:
            current = EDITS[step](current)
        else:
            current, _ = buffer.insert(current, step, 200)
        assert 0 <= current.row < len(current.lines)
        assert 0 <= current.column <= len(current.line)
        assert current.size == len(current.text) <= 200


@given(TEXT)
def test_deleting_backwards_as_often_as_it_takes_empties_it(text: str) -> None:
    current = _typed(text)
    for _ in range(len(text) + 1):
        current = buffer.backspace(current)
    assert current == Buffer()


def test_one_press_takes_a_whole_character_as_a_person_sees_it() -> None:
    family = "👩\u200d👩\u200d👧"
    assert buffer.backspace(_typed("a" + family)).text == "a"
    assert buffer.backspace(_typed("cafe\u0301")).text == "caf"
    assert buffer.left(_typed("a" + family)).column == 1
    assert buffer.delete(buffer.home(_typed("e\u0301x"))).text == "x"


def test_words_are_moved_over_and_deleted_whole() -> None:
    current = _typed("one two, three")
    assert buffer.word_left(current).column == 9
    assert buffer.delete_word(current).text == "one two, "
    assert buffer.word_right(buffer.home(current)).column == 3


def test_lines_join_and_split_where_the_cursor_is() -> None:
    current = buffer.home(buffer.vertical(_typed("one\ntwo"), 0))
    assert buffer.backspace(current).lines == ("onetwo",)
    assert buffer.insert(buffer.home(_typed("ab")), "\n", 10)[0].lines == ("", "ab")


def test_what_does_not_fit_is_left_out_and_told() -> None:
    current, cut = buffer.insert(_typed("abc"), "defgh", 5)
    assert (current.text, cut) == ("abcde", True)
    assert buffer.insert(current, "x", 5) == (current, True)


def test_a_field_of_one_line_takes_no_breaks() -> None:
    assert buffer.insert(Buffer(), "one\r\ntwo", 20, multiline=False)[0].lines == ("one two",)


def test_pasted_sequences_never_reach_the_buffer() -> None:
    assert _typed("\x1b[31mred\x1b[0m\u202e").text == "red"
