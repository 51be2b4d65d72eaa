from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bzzzd.hap.values import buffer
from bzzzd.hap.values.buffer import EDITS, Buffer

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
    assert current.text == ""
    assert (current.row, current.column, current.size) == (0, 0, 0)


@given(st.lists(st.one_of(TEXT, EDIT, st.integers(-3, 3)), max_size=15))
def test_taking_everything_back_and_doing_it_again_gives_the_same_texts(steps: list[str | int]) -> None:
    current = Buffer()
    texts = [""]
    for step in steps:
        if isinstance(step, int):
            current = buffer.vertical(current, step)
        elif step in EDITS:
            current = EDITS[step](current) if not step.endswith("-typing") else current
        else:
            current, _ = buffer.insert(current, step, 200)
        texts.append(current.text)
    last = current.text
    while current.done:
        assert current.size == len(current.text)
        current = buffer.undo(current)
        assert current.text in texts
        assert 0 <= current.column <= len(current.line)
    assert current.text == ""
    while current.undone:
        current = buffer.redo(current)
    assert current.text == last


def test_a_word_is_taken_back_at_once_and_the_one_before_it_after_that() -> None:
    current = Buffer()
    for char in "one two":
        current, _ = buffer.insert(current, char, 100)
    assert buffer.undo(current).text == "one "
    assert buffer.undo(buffer.undo(current)).text == ""
    assert buffer.redo(buffer.undo(current)).text == "one two"
    typed, _ = buffer.insert(buffer.undo(current), "x", 100)
    assert buffer.redo(typed).text == "one x"


def test_what_was_pasted_over_a_book_is_taken_back_whole_and_the_steps_stay_bounded() -> None:
    current = _typed("line\n" * 50_000, 400_000)
    assert buffer.undo(buffer.delete_to_start(buffer.left(current))).text == current.text
    for _ in range(3 * buffer.UNDO_STEPS):
        current, _ = buffer.insert(current, "x ", 400_000)
    assert 100 < len(current.done) <= buffer.UNDO_STEPS
    assert sum(step.size for step in current.done) <= buffer.UNDO_SIZE


def test_the_text_of_an_editor_comes_in_as_one_step() -> None:
    current = _typed("before")
    changed, cut = buffer.changed_to(current, "one\ntwo\n\x1b[31mthree", 100)
    assert (changed.lines, changed.row, cut) == (("one", "two", "three"), 2, False)
    assert buffer.undo(changed).text == "before"
    assert buffer.changed_to(current, "before", 100) == (current, False)
    assert buffer.changed_to(current, "x" * 20, 5)[0].text == "xxxxx"


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
