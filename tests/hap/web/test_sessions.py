from __future__ import annotations

from bzzzd.hap.web.sessions import IDLE_S, KEPT_ANSWERS, MAX_SESSIONS, Bucket, Sessions


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_word_lets_in_once_and_the_next_one_is_another() -> None:
    sessions = Sessions(Clock())
    word = sessions.word
    assert sessions.enter("") is None
    assert sessions.enter(word[:-1]) is None
    assert sessions.enter(word) is not None
    assert sessions.word != word
    assert sessions.enter(word) is None


def test_a_session_takes_both_its_cookie_and_its_key() -> None:
    sessions = Sessions(Clock())
    first, second = sessions.enter(sessions.word), sessions.enter(sessions.word)
    assert first is not None
    assert second is not None
    assert sessions.find(first[1], first[2]) is first[0]
    for cookie, key in ((first[1], ""), ("", first[2]), (first[1], second[2]), (first[2], first[1]), ("ü\ud800", "x")):
        assert sessions.find(cookie, key) is None


def test_a_session_ends_when_it_is_left_or_not_used() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    found = [sessions.enter(sessions.word) for _ in range(2)]
    assert found[0] is not None
    assert found[1] is not None
    sessions.end(found[0][0])
    assert sessions.find(*found[0][1:]) is None
    clock.now += IDLE_S
    assert sessions.find(*found[1][1:]) is not None
    clock.now += IDLE_S + 1
    assert sessions.find(*found[1][1:]) is None
    assert found[1][0].ended


def test_of_too_many_sessions_the_one_unused_for_longest_goes() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    found = []
    for _ in range(MAX_SESSIONS):
        clock.now += 1
        entered = sessions.enter(sessions.word)
        assert entered is not None
        found.append(entered)
    clock.now += 1
    sessions.find(*found[0][1:])
    sessions.enter(sessions.word)
    assert len(sessions) == MAX_SESSIONS
    assert [one[0].ended for one in found[:3]] == [False, True, False]


def test_tries_are_bounded() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    assert [sessions.may_try() for _ in range(11)] == [True] * 10 + [False]
    clock.now += 1
    assert [sessions.may_try() for _ in range(2)] == [True, False]


def test_a_bucket_holds_its_burst_and_fills_at_its_rate() -> None:
    bucket = Bucket(2.0, 3.0, 0.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(1.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


def test_the_answers_of_the_last_requests_are_kept_and_no_more() -> None:
    sessions = Sessions(Clock())
    found = sessions.enter(sessions.word)
    assert found is not None
    session = found[0]
    for number in range(KEPT_ANSWERS + 1):
        session.keep(str(number), number)
    assert session.answered("0") is None
    assert session.answered("1") == 1
